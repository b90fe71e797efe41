"""What is remembered for a while, and asking once for many."""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future
from threading import Event, Thread

import pytest

from functions.state.expiring import Expiring, Flights


def test_a_value_is_kept_until_its_end() -> None:
    now = [100.0]
    kept: Expiring[str, int] = Expiring(most=2, clock=lambda: now[0])
    kept.put("a", 1, life_s=10)
    now[0] = 109.9
    assert kept.get("a") == 1
    now[0] = 110.0
    assert kept.get("a") is None


def test_the_oldest_value_makes_room() -> None:
    kept: Expiring[int, int] = Expiring(most=2, clock=lambda: 0.0)
    for number in (1, 2, 1, 3):
        kept.put(number, number, life_s=1)
    assert [kept.get(number) for number in (1, 2, 3)] == [1, None, 3]


def test_a_value_can_be_forgotten() -> None:
    kept: Expiring[str, int] = Expiring(most=2, clock=lambda: 0.0)
    kept.put("a", 1, life_s=1)
    kept.drop("a")
    kept.drop("a")
    assert kept.get("a") is None


def waits(thread: Thread) -> bool:
    """Whether *thread* waits for the result of somebody else's work."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code is not Future.result.__code__:
        frame = frame.f_back
    return frame is not None


def fly(flights: Flights[str, object], outcome: object, *, followers: int) -> tuple[list[object], int]:
    """What a leader and its *followers* got from one flight, and how often the work was done."""
    results: list[object] = []
    done: list[int] = []
    begun, landing = Event(), Event()

    def work() -> object:
        done.append(1)
        begun.set()
        assert landing.wait(20)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def join() -> None:
        try:
            results.append(flights.join("a", work))
        except RuntimeError as error:
            results.append(error)

    leader, *others = threads = [Thread(target=join) for _ in range(followers + 1)]
    leader.start()
    assert begun.wait(20)
    for thread in others:
        thread.start()
    while not all(waits(thread) for thread in others):
        time.sleep(0.001)
    landing.set()
    for thread in threads:
        thread.join()
    return results, len(done)


@pytest.mark.parametrize("outcome", ["found", RuntimeError("out")], ids=["result", "error"])
def test_many_who_ask_at_once_share_one_answer(outcome: object) -> None:
    assert fly(Flights(), outcome, followers=20) == ([outcome] * 21, 1)


def test_who_asks_after_the_answer_asks_again() -> None:
    flights: Flights[str, int] = Flights()
    answers = iter([1, 2])
    assert [flights.join("a", lambda: next(answers)) for _ in range(2)] == [1, 2]
