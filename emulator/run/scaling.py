"""How many instances a function gets, and what each does while nobody asks: decisions from counts, no processes.

https://cloud.google.com/run/docs/about-instance-autoscaling and /about-concurrency say what Cloud Run does. Stricter
than there on purpose: more than one request at a time always gets a second instance, so that state kept in a process
is missed here before it is missed in the cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# Cloud Run aims at this share of an instance's concurrency before it adds another.
TARGET_UTILIZATION = 0.6
# An instance keeps its CPU this long after its last answer: enough to close a connection, too short to work.
LINGER_S = 0.1
LONGEST_BACKOFF_S = 30.0
FIRST_BACKOFF_S = 0.5


class State(StrEnum):
    STARTING = "starting"
    SERVING = "serving"
    FROZEN = "frozen"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Limits:
    concurrency: int
    max_instances: int
    idle_s: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One instance as the decision sees it. `idle_s` is how long it has had no request, 0 while it has one."""

    key: int
    state: State
    in_flight: int
    idle_s: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to look again if nothing happens (None: not at all)."""

    start: int = 0
    freeze: tuple[int, ...] = ()
    stop: tuple[int, ...] = ()
    look_again_s: float | None = None


def wanted(demand: int, limits: Limits) -> int:
    """How many instances *demand* requests at a time ask for."""
    target = max(1, int(limits.concurrency * TARGET_UTILIZATION))
    needed = max(-(-demand // target), min(demand, 2))
    return min(needed, limits.max_instances)


def decide(instances: Sequence[Seen], *, waiting: int, may_start_in_s: float, limits: Limits) -> Decision:
    """The next move for a function with these *instances* and *waiting* requests.

    *may_start_in_s* is how long a failed start still forbids another one.
    """
    alive = [each for each in instances if each.state is not State.STOPPING]
    idle = [each for each in alive if each.state is not State.STARTING and not each.in_flight]
    needed = wanted(waiting + sum(each.in_flight for each in alive), limits)
    missing = max(0, needed - len(alive))
    start = 0 if may_start_in_s > 0 else missing

    longest_first = sorted(idle, key=lambda each: each.idle_s, reverse=True)
    removable = longest_first[: max(0, len(alive) - needed)]
    stop = tuple(each.key for each in removable if each.idle_s >= limits.idle_s)
    awake = [each for each in idle if each.state is State.SERVING and each.key not in stop]
    freeze = tuple(each.key for each in awake if each.idle_s >= LINGER_S)

    times = [LINGER_S - each.idle_s for each in awake if each.key not in freeze]
    times += [limits.idle_s - each.idle_s for each in removable if each.key not in stop]
    times += [may_start_in_s] if missing and not start else []
    return Decision(start, freeze, stop, min(times, default=None))


def has_room(each: Seen, limits: Limits) -> bool:
    """Whether this instance may be given one more request."""
    return each.state in (State.SERVING, State.FROZEN) and each.in_flight < limits.concurrency


def backoff_s(failed_starts: int) -> float:
    """How long to leave a function alone after so many failed starts in a row."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failed_starts - 1, 16))


def queue_limit_s(queue_s: float, *, average_start_s: float) -> float:
    """How long a request may wait for a place: Cloud Run allows 3.5 times the average start, or 10 s if longer."""
    return max(queue_s, 3.5 * average_start_s)
