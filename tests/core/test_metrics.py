"""Outcomes and what they add up to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.build import Build
from functions.core.launch import Launch, Phase
from functions.core.metrics import (
    LONGEST_REPO,
    MOST_SERIES,
    OTHER,
    Counted,
    Outcome,
    Timed,
    Times,
    Totals,
    build_outcome,
    fold,
    launch_outcome,
)
from tests.core.test_launch import ASKED, BROKEN, DONE, FOUND, NOW

READY = replace(ASKED, phase=Phase.READY, ended_at=NOW)


def an_outcome(key: str = "launch/1", *, repo: str = "https://example.org/plots", seconds: float = 7.0) -> Outcome:
    return Outcome(
        key=key, what="launch", status="success", provider="Git", repo=repo, seconds=seconds, retries="0", at=NOW
    )


def test_a_ready_launch_took_the_time_since_its_image_was_there() -> None:
    assert launch_outcome(READY) == Outcome(
        key="launch/0123abcd",
        what="launch",
        status="success",
        provider="Git",
        repo="https://example.org/plots",
        seconds=4.0,
        retries="0",
        at=NOW,
    )


def test_a_launch_without_a_server_failed() -> None:
    outcome = launch_outcome(replace(ASKED, phase=Phase.FAILED, ended_at=NOW))
    assert outcome is not None
    assert (outcome.status, outcome.retries) == ("failure", "-1")


def test_a_launch_whose_image_never_came_is_the_failure_of_a_build() -> None:
    launch: Launch = replace(FOUND, phase=Phase.FAILED, ended_at=NOW)
    assert launch_outcome(launch) is None


@pytest.mark.parametrize(("build", "status"), [(DONE, "success"), (BROKEN, "failure")])
def test_every_attempt_of_a_build_is_an_outcome(build: Build, status: str) -> None:
    again = replace(build, attempt=2, provider="gh", finished_at=NOW)
    outcome = build_outcome(again, now=NOW + 1)
    assert outcome.key == "build/registry.example.org/plots:aaaa/2"
    assert (outcome.status, outcome.provider, outcome.seconds, outcome.at) == (status, "GitHub", 9.0, NOW + 1)


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (2.0, 0), (2.001, 1), (600.0, 8), (601.0, 9)])
def test_a_time_falls_into_the_bucket_with_the_next_bound(seconds: float, bucket: int) -> None:
    totals = fold(Totals(), [an_outcome(seconds=seconds)])
    [times] = totals.times.values()
    assert times == Times(round(seconds * 1000), tuple(int(place == bucket) for place in range(10)))


def test_what_no_time_was_spent_on_is_counted_only() -> None:
    totals = fold(Totals(), [replace(an_outcome(), status="pod_quota")])
    assert (sum(totals.counts.values()), totals.times) == (1, {})


def test_totals_add_up_and_remember_what_came_in_last() -> None:
    first = fold(Totals(), [an_outcome("launch/1"), an_outcome("launch/2")])
    second = fold(first, [an_outcome("launch/3", seconds=1.0)])
    assert second.counts == {Counted("launch", "success", "Git", "https://example.org/plots"): 3}
    assert second.times[Timed("launch", "success", "0")] == Times(15000, (1, 0, 2, 0, 0, 0, 0, 0, 0, 0))
    assert second.folded == ("launch/3",)


def test_what_came_in_last_does_not_come_in_again() -> None:
    outcomes = [an_outcome("launch/1"), an_outcome("launch/2")]
    assert sum(fold(fold(Totals(), outcomes), outcomes).counts.values()) == 2


def test_the_sum_does_not_depend_on_the_order() -> None:
    outcomes = [an_outcome(f"launch/{number}", seconds=0.1 * number) for number in range(20)]
    at_once = fold(Totals(), outcomes)
    one_by_one = Totals()
    for outcome in reversed(outcomes):
        one_by_one = fold(one_by_one, [outcome])
    assert at_once.times == one_by_one.times


def test_a_stranger_cannot_make_the_answer_grow_for_ever() -> None:
    flood = [an_outcome(f"launch/{number:04}", repo=f"https://example.org/{number}") for number in range(MOST_SERIES)]
    full = fold(Totals(), flood)
    fuller = fold(full, [an_outcome("launch/new", repo="https://example.org/new"), replace(flood[0], key="launch/0a")])
    assert len(fuller.counts) == MOST_SERIES + 1
    assert fuller.counts[Counted("launch", "success", "Git", OTHER)] == 1
    assert fuller.counts[Counted("launch", "success", "Git", "https://example.org/0")] == 2


def test_a_very_long_name_is_not_a_label() -> None:
    [series] = fold(Totals(), [an_outcome(repo="h" * (LONGEST_REPO + 1))]).counts
    assert series.repo == OTHER
