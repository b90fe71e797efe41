"""Whatever goes wrong once, a launch ends in one image and one server, and leaves nothing behind.

`tests/functions/a_day.py` plays the day; each row here is what goes wrong on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from google.api_core.exceptions import Aborted

from functions.adapters.stores.firestore import FirestoreStore, _client
from functions.adapters.stores.sqlite import SQLiteStore
from functions.core.errors import UpstreamTimeout
from functions.core.ports import BuildStatus, Store
from tests.fakes.firestore_line import LOST, Line
from tests.fakes.java_emulators import FIRESTORE, needed
from tests.fakes.mortal_store import MortalStore
from tests.fakes.store import Died, FakeStore
from tests.functions.a_day import STEP_S, Day, Frost

ONE_OF_EACH = {"told": ["ready"], "images": 1, "servers": 1, "stopped in use": [], "left": []}
# One stays, and reloads the page; the other is away when the build ends, and comes back when its server runs.
PEOPLE = {"stays": STEP_S, "comes back": 50.0}


@pytest.fixture(params=["fake", "sqlite", pytest.param("firestore", marks=needed(FIRESTORE))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "fake":
        yield FakeStore()
    elif request.param == "sqlite":
        with closing(SQLiteStore(tmp_path / "store.db")) as sqlite:
            yield sqlite
    else:
        endpoint = request.getfixturevalue("firestore")
        with closing(FirestoreStore(project=f"test-{secrets.token_hex(4)}", endpoint=endpoint)) as firestore:
            yield firestore


def nothing(day: Day) -> None:
    pass


def notifications_lost(day: Day) -> None:
    day.plan = lambda number, status: []


def notifications_doubled(day: Day) -> None:
    day.plan = lambda number, status: [1.0, 1.0, 30.0, 400.0]


def notifications_late(day: Day) -> None:
    day.plan = lambda number, status: [600.0]


def notifications_reordered(day: Day) -> None:
    day.plan = lambda number, status: [1.0 if status is BuildStatus.SUCCESS else 120.0 - 40 * number]


def create_refused(day: Day) -> None:
    day.builds.refused = 2


def create_answered_5xx_after_it_was_done(day: Day) -> None:
    day.builds.lost = 1


def backend_and_notifications_out(day: Day) -> None:
    day.builds.lost = 1
    notifications_lost(day)


def hub_down_for_two_minutes(day: Day) -> None:
    day.hub.down_until = day.fakes.clock.time + 140


def hub_full(day: Day) -> None:
    day.hub.full_until = day.fakes.clock.time + 90


def hub_answered_5xx_after_it_had_started(day: Day) -> None:
    day.hub.lost = 1


FAULTS: Sequence[Callable[[Day], None]] = [
    nothing,
    notifications_lost,
    notifications_doubled,
    notifications_late,
    notifications_reordered,
    create_refused,
    create_answered_5xx_after_it_was_done,
    backend_and_notifications_out,
    hub_down_for_two_minutes,
    hub_full,
    hub_answered_5xx_after_it_had_started,
]


@pytest.mark.parametrize("away_s", PEOPLE.values(), ids=PEOPLE.keys())
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_changes_nothing_in_the_end(store: Store, fault: Callable[[Day], None], away_s: float) -> None:
    day = Day(store, away_s=away_s)
    fault(day)
    day.live()
    assert day.result() == ONE_OF_EACH
    assert bool(day.trouble) == (fault is not nothing)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_whoever_never_comes_back_has_an_image_built_and_no_server(fault: Callable[[Day], None]) -> None:
    day = Day(FakeStore(), away_s=float("inf"), build_ends_s=120.0)
    fault(day)
    day.live()
    assert day.result() == {**ONE_OF_EACH, "told": [], "servers": 0}


@pytest.mark.parametrize("thaws_s", [40.0, 100.0, 700.0], ids="thaws after {:g} s".format)
@pytest.mark.parametrize("away_s", PEOPLE.values(), ids=PEOPLE.keys())
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_instance_that_is_frozen_at_any_write_changes_nothing_in_the_end(
    when: Literal["before", "after"], away_s: float, thaws_s: float
) -> None:
    for number in range(1, 1000):
        frost = Frost()
        store = MortalStore(FakeStore(), fails_at=number, when=when, failure=frost)
        day = Day(store, away_s=away_s, frost=frost, thaws_s=thaws_s)
        day.live()
        at = store.writes[number - 1] if number <= len(store.writes) else None
        assert day.result() == ONE_OF_EACH, f"{when} write {number}: {at}"
        assert frost.thawed == frost.frozen
        if at is None:
            return
    raise AssertionError("the day never ended")


@needed(FIRESTORE)
@pytest.mark.parametrize("away_s", PEOPLE.values(), ids=PEOPLE.keys())
def test_a_bad_line_to_firestore_changes_nothing_in_the_end(firestore: str, away_s: float) -> None:
    client = _client(firestore)
    with closing(client.transport):
        line = Line(client)
        # Never three in a row, after which a call is given up.
        line.before = [None, LOST, None, None, Aborted("contention"), None] * 200
        line.after = [None, None, None, LOST, None] * 200
        store = FirestoreStore(
            project=f"test-{secrets.token_hex(4)}", endpoint=firestore, client=lambda _: line, sleep=lambda _: None
        )
        day = Day(store, away_s=away_s)
        day.live()
        assert day.result() == ONE_OF_EACH
    assert line.calls.count("commit") > 30


FAILURES: dict[str, Callable[[], BaseException]] = {
    "killed": Died,
    # What Firestore's ABORTED becomes when all tries are spent.
    "aborted": lambda: UpstreamTimeout("The store", "is busy."),
}


@pytest.mark.parametrize("away_s", PEOPLE.values(), ids=PEOPLE.keys())
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_an_instance_that_fails_at_any_write_changes_nothing_in_the_end(
    failure: Callable[[], BaseException], when: Literal["before", "after"], away_s: float
) -> None:
    for number in range(1, 1000):
        store = MortalStore(FakeStore(), fails_at=number, when=when, failure=failure)
        day = Day(store, away_s=away_s)
        day.live()
        at = store.writes[number - 1] if number <= len(store.writes) else None
        # Whoever is told that the store is busy clicks again.
        ended = {**day.result(), "told": day.result()["told"][-1:]}
        assert ended == ONE_OF_EACH, f"{when} write {number}: {at}"
        if at is None:
            return
    raise AssertionError("the day never ended")
