"""From counts to decisions: starting, freezing and stopping instances."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.run.scaling import (
    LINGER_S,
    Decision,
    Limits,
    Seen,
    State,
    backoff_s,
    decide,
    has_room,
    queue_limit_s,
    wanted,
)

LIMITS = Limits(concurrency=10, max_instances=4, idle_s=900)


def serving(key: int, in_flight: int = 0, *, idle_s: float = 0) -> Seen:
    return Seen(key, State.SERVING, in_flight, idle_s)


def frozen(key: int, *, idle_s: float) -> Seen:
    return Seen(key, State.FROZEN, 0, idle_s)


@pytest.mark.parametrize(
    ("demand", "concurrency", "instances"),
    [(0, 10, 0), (1, 10, 1), (2, 10, 2), (12, 10, 2), (13, 10, 3), (1000, 10, 4), (1, 1, 1), (3, 1, 3), (100, 250, 2)],
)
def test_demand_asks_for_instances_below_their_concurrency(demand: int, concurrency: int, instances: int) -> None:
    assert wanted(demand, Limits(concurrency, 4, 900)) == instances


def test_one_instance_stays_one_when_no_more_are_allowed() -> None:
    assert wanted(50, Limits(10, 1, 900)) == 1


CASES = {
    "nothing to do": ([], 0, 0.0, Decision()),
    "the first request starts the first instance": ([], 1, 0.0, Decision(start=1)),
    "two requests start two": ([], 2, 0.0, Decision(start=2)),
    "an instance that starts is counted": ([Seen(1, State.STARTING, 0, 0)], 1, 0.0, Decision()),
    "an instance that stops is not": ([Seen(1, State.STOPPING, 0, 5)], 1, 0.0, Decision(start=1)),
    "a second request in flight starts the second": ([serving(1, 2)], 0, 0.0, Decision(start=1)),
    "after a failed start it waits": ([], 3, 1.5, Decision(look_again_s=1.5)),
    "an instance is frozen a moment after its last request": (
        [serving(1, idle_s=LINGER_S)],
        0,
        0.0,
        Decision(freeze=(1,), look_again_s=900 - LINGER_S),
    ),
    "and not before": ([serving(1, idle_s=0.0)], 0, 0.0, Decision(look_again_s=LINGER_S)),
    "a busy one is never frozen": ([serving(1, 1)], 0, 0.0, Decision()),
    "what nobody needs is stopped when its time is over": ([frozen(1, idle_s=900)], 0, 0.0, Decision(stop=(1,))),
    "one of two is kept for the request in flight": (
        [serving(1, 1), frozen(2, idle_s=900)],
        0,
        0.0,
        Decision(stop=(2,)),
    ),
    "both are kept for two requests in one instance": (
        [serving(1, 2), frozen(2, idle_s=5000)],
        0,
        0.0,
        Decision(),
    ),
    "the longest idle goes first": (
        [serving(1, 1), frozen(2, idle_s=901), frozen(3, idle_s=950)],
        1,
        0.0,
        Decision(stop=(3,)),
    ),
}


@pytest.mark.parametrize(("instances", "waiting", "may_start_in_s", "decision"), CASES.values(), ids=CASES.keys())
def test_the_next_move(instances: list[Seen], waiting: int, may_start_in_s: float, decision: Decision) -> None:
    assert decide(instances, waiting=waiting, may_start_in_s=may_start_in_s, limits=LIMITS) == decision


seen = st.builds(Seen, st.integers(), st.sampled_from(State), st.integers(0, 10), st.floats(0, 2000))


@given(st.lists(seen, unique_by=lambda each: each.key), st.integers(0, 2000), st.floats(0, 30))
def test_no_decision_harms_a_request_or_exceeds_the_maximum(all_: list[Seen], waiting: int, pause_s: float) -> None:
    decision = decide(all_, waiting=waiting, may_start_in_s=pause_s, limits=LIMITS)
    touched = [each for each in all_ if each.key in (*decision.freeze, *decision.stop)]
    assert not any(each.in_flight or each.state in (State.STARTING, State.STOPPING) for each in touched)
    assert not set(decision.freeze) & set(decision.stop)
    alive = sum(each.state is not State.STOPPING for each in all_)
    assert decision.start == 0 or alive + decision.start <= LIMITS.max_instances
    assert decision.look_again_s is None or decision.look_again_s > 0


@pytest.mark.parametrize(
    ("instance", "room"),
    [
        (serving(1, 9), True),
        (serving(1, 10), False),
        (frozen(1, idle_s=5), True),
        (Seen(1, State.STARTING, 0, 0), False),
        (Seen(1, State.STOPPING, 0, 0), False),
    ],
)
def test_room_is_in_instances_that_serve_below_their_concurrency(instance: Seen, room: bool) -> None:
    assert has_room(instance, LIMITS) is room


def test_failed_starts_are_tried_again_ever_more_slowly() -> None:
    assert [backoff_s(count) for count in (1, 2, 3, 20, 10_000)] == [0.5, 1, 2, 30, 30]


def test_a_request_waits_longer_where_starts_are_slow() -> None:
    assert (queue_limit_s(10, average_start_s=1), queue_limit_s(10, average_start_s=20)) == (10, 70)
