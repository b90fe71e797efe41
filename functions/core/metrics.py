"""What /metrics counts: how launches and builds ended, first as single outcomes, then folded into totals.

The words and buckets are BinderHub's (binderhub/builder.py). A build counts once, however many watched it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from functions.core.build import Build
from functions.core.launch import Launch, Phase
from functions.core.launch_event import PROVIDER_NAMES

# Upper bounds of the buckets; what took longer is in one more.
BUCKETS_S: Mapping[str, tuple[int, ...]] = {
    "build": (60, 120, 300, 600, 1800, 3600, 7200),
    "launch": (2, 5, 10, 20, 30, 60, 120, 300, 600),
}
# Anybody may launch anything: neither the answer nor the record of the totals may grow with it.
MOST_SERIES = 1000
LONGEST_REPO = 200
OTHER = "(other)"
SUCCESS, FAILURE = "success", "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one launch or build (`what`) ended. `key` is the same whoever writes it, and however often.

    `status` is BinderHub's word: success, failure, and pod_quota and repo_quota for what no time was spent on.
    `retries` counts further attempts at a success, "-1" otherwise. `at` is when it was written, since the epoch.
    """

    key: str
    what: str
    status: str
    provider: str
    repo: str
    seconds: float
    retries: str
    at: float


class Counted(NamedTuple):
    """The labels of a count."""

    what: str
    status: str
    provider: str
    repo: str


class Timed(NamedTuple):
    """The labels of a histogram; `retries` is empty for builds."""

    what: str
    status: str
    retries: str


@dataclass(frozen=True, slots=True)
class Times:
    """A histogram: the sum of all times, and how many fell into each bucket; the last has no upper bound.

    The sum is a whole number, since one of fractions depends on the order, and may come out a little less than before.
    """

    milliseconds: int
    buckets: tuple[int, ...]

    def with_(self, seconds: float, bounds: tuple[int, ...]) -> Times:
        """The histogram with one more time. A bound belongs to the bucket below it."""
        place = bisect_left(bounds, seconds)
        buckets = tuple(count + (index == place) for index, count in enumerate(self.buckets))
        return Times(self.milliseconds + round(seconds * 1000), buckets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All outcomes that are no longer rows. `folded` are the keys that came in last, whose rows may still be there."""

    counts: Mapping[Counted, int] = field(default_factory=dict)
    times: Mapping[Timed, Times] = field(default_factory=dict)
    folded: tuple[str, ...] = ()


def launch_outcome(launch: Launch) -> Outcome | None:
    """How *launch*, ready or failed, ended; its time is that since its image was there.

    None when it never came that far: as in BinderHub, that is the failure of a build, not of a launch.
    """
    if not launch.user:
        return None
    ready = launch.phase is Phase.READY
    return Outcome(
        key=f"launch/{launch.id}",
        what="launch",
        status=SUCCESS if ready else FAILURE,
        provider=provider_name(launch.provider),
        repo=launch.repo.repo_url,
        seconds=max(0.0, launch.ended_at - launch.named_at),
        retries=str(max(0, launch.starts - 1)) if ready else "-1",
        at=launch.ended_at,
    )


def build_outcome(build: Build, *, now: float) -> Outcome:
    """How this attempt of *build* ended."""
    return Outcome(
        key=f"build/{build.image}/{build.attempt}",
        what="build",
        status=SUCCESS if build.succeeded else FAILURE,
        provider=provider_name(build.provider),
        repo=build.repo_url,
        seconds=max(0.0, build.finished_at - build.created_at),
        retries="",
        at=now,
    )


def fold(totals: Totals, outcomes: Iterable[Outcome]) -> Totals:
    """*totals* with *outcomes*, except those that came in last time and are counted already."""
    counts, times, known = dict(totals.counts), dict(totals.times), frozenset(totals.folded)
    new = sorted((it for it in outcomes if it.key not in known), key=lambda it: (it.at, it.key))
    for outcome in new:
        series = _series(outcome, counts)
        counts[series] = counts.get(series, 0) + 1
        if outcome.status in (SUCCESS, FAILURE):
            timed, bounds = Timed(outcome.what, outcome.status, outcome.retries), BUCKETS_S[outcome.what]
            before = times.get(timed) or Times(0, (0,) * (len(bounds) + 1))
            times[timed] = before.with_(outcome.seconds, bounds)
    return Totals(counts=counts, times=times, folded=tuple(it.key for it in new))


def provider_name(prefix: str) -> str:
    """BinderHub's name of the provider with *prefix*."""
    return PROVIDER_NAMES.get(prefix, prefix)


def _series(outcome: Outcome, known: Mapping[Counted, int]) -> Counted:
    exact = Counted(outcome.what, outcome.status, outcome.provider, outcome.repo)
    if exact in known or (len(known) < MOST_SERIES and len(outcome.repo) <= LONGEST_REPO):
        return exact
    return exact._replace(repo=OTHER)
