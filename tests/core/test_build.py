"""A build's record: one submitter at a time, never backwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from functions.core import build as builds
from functions.core.build import Build
from functions.core.ports import BuildReport, BuildStatus, ResolvedRepo

NOW = 1_000_000.0
BUILD = Build(image="r/x:1", repo_url="https://example.org/x", ref="1", backend="kubernetes", created_at=NOW)
WORKING = replace(BUILD, status=BuildStatus.WORKING, backend_id="b")
FAILED = replace(WORKING, status=BuildStatus.FAILURE, finished_at=NOW - 10, reason="no")


def report(status: BuildStatus) -> BuildReport:
    return BuildReport(backend_id="b", status=status, finished_at=datetime.fromtimestamp(NOW - 5, UTC))


def test_one_submits_while_the_others_wait() -> None:
    mine = builds.to_submit(BUILD, now=NOW)
    assert mine is not None
    assert builds.to_submit(mine, now=NOW + 1) is None


def test_another_submits_when_the_first_died() -> None:
    mine = builds.to_submit(BUILD, now=NOW)
    assert mine is not None
    assert builds.to_submit(mine, now=NOW + builds.LEASE_S + 1) is not None


def test_every_submit_of_one_attempt_has_the_same_name() -> None:
    assert BUILD.request == replace(BUILD, lease_until=NOW).request


def test_another_attempt_has_another_name() -> None:
    retried = builds.to_retry(FAILED, now=NOW + 100, pause_s=60)
    assert retried is not None
    assert retried.request.name != FAILED.request.name
    assert (retried.status, retried.backend_id, retried.reason) == (BuildStatus.PENDING, "", "")


def test_a_fresh_failure_is_not_tried_again() -> None:
    assert builds.to_retry(FAILED, now=NOW, pause_s=60) is None


def test_a_failure_of_ours_is_tried_again_at_once() -> None:
    assert builds.to_retry(replace(FAILED, our_fault=True), now=NOW, pause_s=60) is not None


@pytest.mark.parametrize("status", [BuildStatus.WORKING, BuildStatus.SUCCESS])
def test_what_goes_well_is_not_tried_again(status: BuildStatus) -> None:
    assert builds.to_retry(replace(WORKING, status=status), now=NOW + 1e6, pause_s=60) is None


@pytest.mark.parametrize("older", [BuildStatus.PENDING, BuildStatus.QUEUED, BuildStatus.WORKING])
def test_an_old_report_never_moves_a_build_backwards(older: BuildStatus) -> None:
    done = replace(WORKING, status=BuildStatus.SUCCESS)
    assert builds.reported(done, report(older), now=NOW) is done


def test_the_first_end_that_is_reported_stays() -> None:
    done = replace(WORKING, status=BuildStatus.SUCCESS)
    assert builds.reported(done, report(BuildStatus.FAILURE), now=NOW) is done


def test_the_end_is_recorded_with_its_time() -> None:
    ended = builds.reported(WORKING, report(BuildStatus.SUCCESS), now=NOW)
    assert (ended.status, ended.finished_at) == (BuildStatus.SUCCESS, NOW - 5)


def test_a_lost_build_is_our_fault() -> None:
    assert builds.lost(WORKING, now=NOW).our_fault


def test_a_build_that_is_cancelled_may_be_tried_again_at_once() -> None:
    cancelled = builds.cancelled(WORKING, "superseded", now=NOW)
    assert cancelled is not None and cancelled.status is BuildStatus.CANCELLED
    again = builds.to_retry(cancelled, now=NOW, pause_s=60)
    assert again is not None and again.request.name != cancelled.request.name


@pytest.mark.parametrize("build", [FAILED, BUILD], ids=["ended", "being submitted"])
def test_there_is_not_always_something_to_cancel(build: Build) -> None:
    assert builds.cancelled(build, "superseded", now=NOW) is None


def test_a_late_report_does_not_bring_a_cancelled_build_back() -> None:
    cancelled = builds.cancelled(WORKING, "superseded", now=NOW)
    assert cancelled is not None
    assert builds.reported(cancelled, report(BuildStatus.SUCCESS), now=NOW) == cancelled


def test_troubles_are_counted_in_a_row() -> None:
    once = builds.lost(WORKING, now=1)
    twice = builds.lost(replace(builds_again(once), status=BuildStatus.WORKING), now=2)
    well = builds.reported(builds_again(twice), report(BuildStatus.SUCCESS), now=3)
    assert (once.troubles, twice.troubles, well.troubles) == (1, 2, 0)
    assert builds.removed(well, now=4).troubles == 0


def builds_again(build: Build) -> Build:
    again = builds.to_retry(build, now=build.finished_at, pause_s=0)
    assert again is not None
    return again


@pytest.mark.parametrize(
    ("provider", "repo_url", "another"),
    [
        ("zenodo", "10.5281/zenodo.1", False),
        ("figshare", "10.6084/m9.figshare.9782777", False),
        ("dataverse", "10.7910/dvn/TJCLKP", False),
        ("dataverse", "10.7910/DVN/OTHER", True),
    ],
)
def test_one_record_has_many_dois(provider: str, repo_url: str, another: bool) -> None:
    build = replace(WORKING, repo_url="10.7910/DVN/TJCLKP" if provider == "dataverse" else "10.5281/zenodo.2")
    repo = ResolvedRepo(
        provider=provider, spec="x", repo_url=repo_url, sha="v1", slug="x", resolved_spec="x", ref_url="https://x"
    )
    assert builds.made_of_another(build, repo) is another
