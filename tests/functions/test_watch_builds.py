"""Announcing the end of builds, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.adapters.builds.jobs_api import Refused
from functions.core.errors import UpstreamError
from functions.core.ports import BuildStatus
from functions.watch_builds import message, watch
from tests.fakes.publisher import FakePublisher

TIME = "2026-01-02T03:04:05Z"
DOWN = UpstreamError("Kubernetes", "cannot be reached.")
GONE = Refused(410, "too old resource version", {})


def a_job(name: str, condition: str = "", reason: str = "") -> dict[str, Any]:
    condition_of = {"type": condition, "status": "True", "reason": reason, "lastTransitionTime": TIME}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": TIME,
            "labels": {"component": "binderless-build"},
            "annotations": {"binderless.image": f"r.example.org/{name}:1"},
        },
        "status": {"startTime": TIME, "conditions": [condition_of]} if condition else {},
    }


def an_event(kind: str, job: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": job}


class Enough(Exception):
    """The script is over."""


@dataclass
class ScriptedJobs:
    """Answers one list and one watch a round; an exception in their place is raised."""

    rounds: list[tuple[Any, list[Any]]]
    pauses: list[float] = field(default_factory=list)
    round: int = -1

    def jobs(self) -> tuple[list[dict[str, Any]], str]:
        self.round += 1
        if self.round == len(self.rounds):
            raise Enough
        listed = self.rounds[self.round][0]
        if isinstance(listed, Exception):
            raise listed
        return listed, f"version-{self.round}"

    def watch(self, version: str, *, timeout_s: int) -> Iterator[dict[str, Any]]:
        assert version == f"version-{self.round}"
        for event in self.rounds[self.round][1]:
            if isinstance(event, Exception):
                raise event
            yield event


def announced(*rounds: tuple[Any, list[Any]], errors: list[Any] | None = None) -> list[tuple[str, str]]:
    """Build id and status of every message that was published while *rounds* went by."""
    publisher = FakePublisher()
    publisher.errors = errors or []
    play(ScriptedJobs([*rounds]), publisher)
    return [(attributes["buildId"], attributes["status"]) for _, attributes in publisher.published]


def play(jobs: ScriptedJobs, publisher: FakePublisher) -> None:
    with pytest.raises(Enough):
        watch(jobs, publisher, sleep=jobs.pauses.append, jitter=lambda: 1.0)


def test_a_build_that_ends_is_announced() -> None:
    running, done = a_job("a"), a_job("a", "Complete")
    events = [an_event("ADDED", running), an_event("MODIFIED", running), an_event("MODIFIED", done)]
    assert announced(([], events)) == [("a", "SUCCESS")]


def test_what_ended_while_nobody_watched_is_announced_at_the_start() -> None:
    listed = [a_job("a", "Complete"), a_job("b"), a_job("c", "Failed", "BackoffLimitExceeded")]
    assert announced((listed, [])) == [("a", "SUCCESS"), ("c", "FAILURE")]


def test_a_build_is_announced_once() -> None:
    done = a_job("a", "Complete")
    assert announced(([done], [an_event("MODIFIED", done)]), ([done], [an_event("DELETED", done)])) == [
        ("a", "SUCCESS")
    ]


def test_a_build_of_the_same_name_is_another_one() -> None:
    again = a_job("a", "Complete")
    again["metadata"]["uid"] = "uid-again"
    assert announced(([a_job("a", "Complete")], []), ([again], [])) == [("a", "SUCCESS")] * 2


def test_a_build_that_took_too_long_is_a_timeout() -> None:
    assert announced(([a_job("a", "Failed", "DeadlineExceeded")], [])) == [("a", "TIMEOUT")]


def test_a_build_that_was_deleted_before_its_end_is_cancelled() -> None:
    assert announced(([a_job("a")], [an_event("DELETED", a_job("a"))])) == [("a", "CANCELLED")]


def test_a_version_too_old_is_mended_by_a_new_list() -> None:
    assert announced(([], [GONE]), ([a_job("a", "Complete")], [])) == [("a", "SUCCESS")]


def test_a_broken_watch_loses_nothing() -> None:
    one, two = a_job("a", "Complete"), a_job("b", "Complete")
    rounds: list[tuple[Any, list[Any]]] = [([], [an_event("MODIFIED", one), DOWN]), (DOWN, []), ([one, two], [])]
    assert announced(*rounds) == [("a", "SUCCESS"), ("b", "SUCCESS")]


def test_a_message_that_was_not_taken_is_published_again() -> None:
    listed = [a_job("a", "Complete"), a_job("b", "Complete")]
    refusal = UpstreamError("Pub/Sub", "did not take the message.")
    assert announced((listed, []), (listed, []), errors=[refusal]) == [("a", "SUCCESS"), ("b", "SUCCESS")]


def test_a_service_that_stays_away_is_asked_ever_less_often() -> None:
    jobs = ScriptedJobs([(DOWN, [])] * 9 + [([], [])] * 2)
    play(jobs, FakePublisher())
    assert jobs.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 0.5, 0.5]


def test_memory_does_not_grow_with_builds_that_are_gone() -> None:
    done = a_job("a", "Complete")
    assert announced(([done], []), ([], []), ([done], [])) == [("a", "SUCCESS")] * 2


def test_a_message_is_cloud_builds() -> None:
    data, attributes = message(a_job("a", "Complete"), BuildStatus.SUCCESS)
    assert attributes == {"buildId": "a", "status": "SUCCESS"}
    assert json.loads(data) == {
        "id": "a",
        "status": "SUCCESS",
        "images": ["r.example.org/a:1"],
        "tags": ["binderless-build"],
        "createTime": TIME,
        "startTime": TIME,
        "finishTime": TIME,
    }


def test_a_message_says_what_is_known() -> None:
    data, _ = message({"metadata": {"name": "a", "uid": "1"}}, BuildStatus.CANCELLED)
    assert json.loads(data) == {"id": "a", "status": "CANCELLED", "images": [], "tags": [""]}
