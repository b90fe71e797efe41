"""What a Job and its pods tell about a build."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.adapters.builds.job_status import finished_at, last_failure, report, status_of
from functions.core.ports import BuildStatus

S = BuildStatus
TIME = "2026-01-02T03:04:05Z"


def a_job(*conditions: str, reason: str = "") -> dict[str, Any]:
    listed = [{"type": kind, "status": "True", "reason": reason, "lastTransitionTime": TIME} for kind in conditions]
    return {
        "metadata": {"name": "build-1"},
        "spec": {"activeDeadlineSeconds": 60},
        "status": {"conditions": listed} if listed else {},
    }


def a_pod(phase: str, reason: str = "", **state: Any) -> dict[str, Any]:
    containers = [{"name": "sidecar", "state": {"running": {}}}, {"name": "repo2docker", "state": state}]
    message = {"message": "why"} if reason else {}
    return {"status": {"phase": phase, "reason": reason, **message, "containerStatuses": containers}}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "message": message}


FAILED = a_job("Failed", reason="BackoffLimitExceeded")

CASES = [
    ("new", a_job(), [], S.QUEUED, False, ""),
    ("no node yet", a_job(), [{"status": {"phase": "Pending"}}], S.QUEUED, False, ""),
    ("pod without status", a_job(), [{}], S.QUEUED, False, ""),
    ("creating", a_job(), [a_pod("Pending", waiting={"reason": "ContainerCreating"})], S.QUEUED, False, ""),
    (
        "pulling",
        a_job(),
        [a_pod("Pending", waiting={"reason": "ErrImagePull", "message": "no route"})],
        *(S.QUEUED, False, "The build is waiting to start: ErrImagePull: no route"),
    ),
    (
        "bad image name",
        a_job(),
        [a_pod("Pending", waiting={"reason": "InvalidImageName"})],
        *(S.INTERNAL_ERROR, True, "The build cannot start: InvalidImageName"),
    ),
    ("running", a_job(), [a_pod("Running", running={})], S.WORKING, False, ""),
    ("pod ended first", a_job(), [a_pod("Succeeded", terminated=ended(0))], S.WORKING, False, ""),
    ("about to fail", a_job("FailureTarget"), [a_pod("Failed", terminated=ended(1))], S.WORKING, False, ""),
    ("complete", a_job("SuccessCriteriaMet", "Complete"), [], S.SUCCESS, False, ""),
    (
        "too late",
        a_job("Failed", reason="DeadlineExceeded"),
        [],
        *(S.TIMEOUT, False, "The build was stopped because it took longer than 60 seconds."),
    ),
    (
        "exit 1",
        FAILED,
        [a_pod("Failed", terminated=ended(1))],
        *(S.FAILURE, False, "repo2docker ended with exit code 1."),
    ),
    (
        "out of memory",
        FAILED,
        [a_pod("Failed", terminated=ended(137, "OOMKilled"))],
        *(S.FAILURE, False, "The build needed more memory than a build may use."),
    ),
    (
        "killed",
        FAILED,
        [a_pod("Failed", terminated=ended(137))],
        *(S.INTERNAL_ERROR, True, "The build was interrupted: Error."),
    ),
    ("evicted", FAILED, [a_pod("Failed", "Evicted")], S.INTERNAL_ERROR, True, "The build was interrupted: why."),
    (
        "node lost",
        FAILED,
        [{"status": {"phase": "Failed"}}],
        *(S.INTERNAL_ERROR, True, "The build was interrupted: no reason is known."),
    ),
    (
        "no such command",
        FAILED,
        [a_pod("Failed", terminated=ended(128, "StartError", "no such file"))],
        *(S.INTERNAL_ERROR, True, "The build could not be started: no such file"),
    ),
    ("pod gone", FAILED, [], S.INTERNAL_ERROR, True, "The build was interrupted: its pod is gone."),
]


@pytest.mark.parametrize(
    ("job", "pods", "status", "our_fault", "reason"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_build_is_reported(job: Any, pods: Any, status: BuildStatus, our_fault: bool, reason: str) -> None:
    found = report(job, pods)
    assert (found.backend_id, found.status, found.our_fault, found.reason) == ("build-1", status, our_fault, reason)


def test_the_last_pod_counts() -> None:
    pods = [a_pod("Failed", "Evicted"), a_pod("Failed", terminated=ended(1))]
    assert report(FAILED, pods).status is S.FAILURE


def test_a_condition_that_is_not_true_says_nothing() -> None:
    job = {"metadata": {"name": "x"}, "status": {"conditions": [{"type": "Failed", "status": "False"}]}}
    assert status_of(job) is S.WORKING


@pytest.mark.parametrize(
    ("status", "time"),
    [
        ({}, None),
        ({"completionTime": "2026-01-02T03:04:05Z"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (a_job("Failed")["status"], datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, None),
    ],
    ids=["running", "complete", "failed", "no time"],
)
def test_the_end_of_a_job_has_a_time(status: Any, time: datetime | None) -> None:
    assert finished_at({"status": status}) == time


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], ""),
        (["not json", "[1]", "1", '"failed"'], ""),
        ([json.dumps({"phase": "building", "message": "x"})], ""),
        ([json.dumps({"phase": "failed", "message": m}) for m in ("one", " two\n", "")], "two"),
        ([json.dumps({"phase": "failed"}), json.dumps({"phase": "failed", "message": 3})], "3"),
        ([json.dumps({"phase": "failed", "message": "x" * 5000})], "x" * 1000),
        (["[" * 100_000], ""),
    ],
    ids=["empty", "not ours", "no failure", "last one", "no text", "long", "deep"],
)
def test_a_failure_is_what_the_log_says_last(lines: list[str], reason: str) -> None:
    assert last_failure(lines) == reason
