"""Senders counted by several instances over one store."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters.stores.sqlite import SQLiteStore
from functions.core.errors import RateExceeded, UpstreamTimeout
from functions.core.ports import Document, Store
from functions.core.rates import Rate
from functions.culling.forgetting import EXPIRING
from functions.state import retention
from functions.state.rates import OUT_S, Rates
from tests.fakes.mortal_store import MortalStore
from tests.fakes.store import FakeStore
from tests.fakes.world import FakeClock

WHO = "address:192.0.2.7"


def instances(store: Store, clock: FakeClock, number: int) -> list[Rates]:
    return [Rates(store, clock.now, secret="s" * 32) for _ in range(number)]


def passes(rates: Rates, rate: Rate, who: str = WHO) -> bool:
    try:
        rates.count(who, rate)
    except RateExceeded:
        return False
    return True


def longest_window(times: list[float], period_s: int) -> int:
    """The most that passed in one window, each beginning with the second of the first that is in none before."""
    began, counts = float("-inf"), [0]
    for at in times:
        if at >= began + period_s:
            began = int(at)
            counts.append(0)
        counts[-1] += 1
    return max(counts)


REQUESTS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([WHO, "principal:ada"]), st.sampled_from([0, 0, 0, 0.3, 1, 7, 31])),
    max_size=300,
)


@given(REQUESTS, st.integers(1, 60), st.sampled_from([5, 60]))
@settings(max_examples=200, deadline=None)
def test_no_window_lets_more_through_than_the_limit(
    requests: list[tuple[int, str, float]], limit: int, period_s: int
) -> None:
    clock, rate = FakeClock(), Rate(limit, period_s)
    several = instances(FakeStore(), clock, 4)
    passed: dict[str, list[float]] = {WHO: [], "principal:ada": []}
    for number, who, pause_s in requests:
        clock.time += pause_s
        if passes(several[number], rate, who):
            passed[who].append(clock.time)
    assert all(longest_window(times, period_s) <= limit for times in passed.values())
    # Over any period, wherever it begins, the rest of one window and the whole of the next.
    for times in passed.values():
        assert all(sum(at <= it < at + period_s for it in times) <= 2 * limit for at in times)


@given(REQUESTS, st.integers(1, 60), st.sampled_from([5, 60]))
@settings(max_examples=200, deadline=None)
def test_whoever_comes_back_when_told_to_passes_everywhere(
    requests: list[tuple[int, str, float]], limit: int, period_s: int
) -> None:
    for came_back_to in range(4):
        clock, rate = FakeClock(time=1_767_268_800.7), Rate(limit, period_s)
        several = instances(FakeStore(), clock, 4)
        for number, who, pause_s in requests:
            clock.time += pause_s
            try:
                several[number].count(who, rate)
            except RateExceeded as refused:
                assert refused.retry_after_s <= period_s
                clock.time += refused.retry_after_s
                assert passes(several[came_back_to], rate, who)


def test_instances_that_are_all_asked_let_the_whole_limit_through() -> None:
    clock, rate = FakeClock(), Rate(100, 60)
    several = instances(FakeStore(), clock, 5)
    assert sum(passes(one, rate) for one in several * 60) == 100


@pytest.mark.parametrize("number", [1, 10])
def test_a_thousand_behind_one_address_write_their_record_seldom(number: int) -> None:
    clock, rate = FakeClock(), Rate(1000, 3600)
    store = MortalStore(FakeStore())
    several = instances(store, clock, number)
    seconds: Counter[int] = Counter()
    for each, one in zip(range(1200), itertools.cycle(several), strict=False):
        before = len(store.writes)
        assert passes(one, rate) or each > 900
        seconds[int(clock.time)] += len(store.writes) - before
        clock.time += 0.05
    assert len(store.writes) <= 80
    # What is left last is taken one by one, so that nobody is refused while another instance has plenty.
    assert max(seconds.values()) <= 16


def test_of_whom_all_know_that_nothing_is_left_the_store_is_not_asked() -> None:
    clock, rate, store = FakeClock(), Rate(1, 60), FakeStore()
    [one] = instances(store, clock, 1)
    assert passes(one, rate)
    store.calls_left = 0
    assert not passes(one, rate)


def test_threads_of_several_instances_over_one_file_let_through_what_is_permitted(tmp_path: Path) -> None:
    clock, rate = FakeClock(), Rate(100, 60)
    path = tmp_path / "store.db"
    several = [one for _ in range(3) for one in instances(SQLiteStore(path), clock, 1)]
    with ThreadPoolExecutor(16) as threads:
        passed = list(threads.map(lambda number: passes(several[number % 3], rate), range(400)))
    assert sum(passed) == 100


class Out:
    """A store that does not answer; `asked` is how often it should have."""

    def __init__(self) -> None:
        self.asked = 0

    def get(self, kind: str, key: str) -> Document | None:
        self.asked += 1
        raise UpstreamTimeout("The store", "did not answer.")


def test_while_the_store_is_out_nobody_is_refused_nor_kept_waiting_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, store, out = FakeClock(), FakeStore(), Out()
    [one] = instances(store, clock, 1)
    with monkeypatch.context() as patched:
        patched.setattr(store, "get", out.get)
        assert [one.count(WHO, Rate(1, 60)) for _ in range(50)] == [None] * 50
        one.check(WHO, Rate(1, 60))
    assert out.asked == 1
    clock.time += OUT_S
    assert [passes(one, Rate(1, 60)) for _ in range(2)] == [True, False]


def test_a_record_that_others_write_all_the_time_lets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore()
    lost: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(store, "create_if_absent", lost)
    assert instances(store, FakeClock(), 1)[0].count(WHO, Rate(1, 60)) is None


def test_checking_counts_nothing_and_knows_what_other_instances_counted() -> None:
    clock, rate = FakeClock(), Rate(2, 60)
    one, other = instances(FakeStore(), clock, 2)
    for _ in range(5):
        one.check(WHO, rate)
    assert passes(other, rate)
    one.check(WHO, rate)
    assert passes(other, rate)
    with pytest.raises(RateExceeded) as refused:
        one.check(WHO, rate)
    clock.time += refused.value.retry_after_s
    one.check(WHO, rate)


def test_a_change_of_the_limit_holds_at_once() -> None:
    [one] = instances(FakeStore(), FakeClock(), 1)
    assert [passes(one, Rate(2, 60)) for _ in range(3)] == [True, True, False]
    assert passes(one, Rate(3, 60))
    assert not passes(one, Rate(1, 60))


def test_a_window_is_forgotten_once_its_day_is_over() -> None:
    clock, store = FakeClock(), FakeStore()
    passes(instances(store, clock, 1)[0], Rate(1, 60))
    assert retention.expired(store, "rate", now=clock.time, most=10) == []
    assert len(retention.expired(store, "rate", now=clock.time + 86400, most=10)) == 1
    assert "rate" in EXPIRING
