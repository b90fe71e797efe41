"""Kubernetes builds when a part of the cluster does not answer; the contract is tried on the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from functions.adapters.builds.job import JobSettings
from functions.adapters.builds.jobs_api import JobsApi, Refused
from functions.adapters.builds.kubernetes import KubernetesBuilds
from functions.core.errors import UpstreamError
from functions.core.ports import BuildStatus

FAILED_JOB = {
    "metadata": {"name": "build-1"},
    "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
}
ENDED = {"name": "repo2docker", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
FAILED_POD = {"metadata": {"name": "pod-1"}, "status": {"phase": "Failed", "containerStatuses": [ENDED]}}


class OneFailedJob(JobsApi):
    """A failed job whose log is *log*; an exception is raised."""

    def __init__(self, log: Exception | list[bytes]) -> None:
        self.found = log

    def get(self, name: str) -> dict[str, Any] | None:
        return FAILED_JOB

    def pods(self, job: str = "") -> list[dict[str, Any]]:
        return [FAILED_POD]

    @contextmanager
    def log(self, pod: str, *options: tuple[str, str]) -> Iterator[Iterator[bytes]]:
        if isinstance(self.found, Exception):
            raise self.found
        yield iter(self.found)


def builds(log: Exception | list[bytes]) -> KubernetesBuilds:
    return KubernetesBuilds(OneFailedJob(log), JobSettings(image="x"))


GONE = Refused(404, "not found", {})
BROKEN = Refused(500, "kubelet unreachable", {})
DOWN = UpstreamError("Kubernetes", "cannot be reached.")


@pytest.mark.parametrize("log", [GONE, BROKEN, DOWN, [], [b"\xff\xfe\n", b"["]], ids=str)
def test_a_failure_whose_log_cannot_be_read_is_still_a_failure(log: Any) -> None:
    report = builds(log).status("build-1")
    assert report is not None
    assert (report.status, report.reason) == (BuildStatus.FAILURE, "repo2docker ended with exit code 1.")


def test_the_last_words_may_come_without_a_newline() -> None:
    words = json.dumps({"phase": "failed", "message": "no room"}).encode()
    report = builds([words[:9], words[9:]]).status("build-1")
    assert report is not None
    assert report.reason == "no room"


def test_a_log_that_is_gone_ends_and_keeps_its_cursor() -> None:
    cursor = "pod-1/1767323045.000000000/3"
    assert builds(GONE).log("build-1", cursor).cursor == cursor


def test_a_log_that_cannot_be_read_now_is_an_error_of_ours() -> None:
    for trouble in (BROKEN, DOWN):
        with pytest.raises(UpstreamError, match="Kubernetes"):
            builds(trouble).log("build-1")
