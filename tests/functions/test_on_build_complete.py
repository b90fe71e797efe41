"""The end of a build, announced once, twice, late, falsely or by strangers."""

from __future__ import annotations

import base64
import json

import pytest

from functions.core.errors import BadRequest, BadSignature, RateLimited, UpstreamError
from functions.core.launch import Phase
from functions.core.ports import BuildStatus, ResolvedRepo
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.on_build_complete import on_build_complete
from tests.fakes.world import Fakes
from tests.functions.requests import push, request

SPEC = "owner/plots/main"


def begin(fakes: Fakes) -> ResolvedRepo:
    """A launch whose watcher has gone after the build has begun."""
    repo = fakes.know(SPEC)
    asked = Asked(provider="gh", spec=SPEC, host="", client_ip="", resume_key="", resume=None)
    for chunk in launch_stream(asked, fakes.world()):
        if "Waiting for build" in chunk:
            break
    return repo


def deliver(fakes: Fakes, body: bytes | None = None, authorization: str = "Bearer push") -> int:
    message = body if body is not None else push(fakes.backend.submitted[0].name)
    return on_build_complete(request(body=message, authorization=authorization), fakes.world()).status_code


def test_the_servers_of_a_finished_build_are_started() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    assert deliver(fakes) == 204
    assert len(fakes.hub.started) == 1


def test_a_message_delivered_twice_starts_one_server() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    assert [deliver(fakes), deliver(fakes)] == [204, 204]
    assert len(fakes.hub.started) == 1


def test_a_message_is_only_a_hint() -> None:
    fakes = Fakes()
    begin(fakes)
    assert deliver(fakes) == 204
    assert fakes.hub.started == []
    [build] = fakes.world().builds.where("open", "yes")
    assert build.status is BuildStatus.QUEUED


def test_nobodys_server_is_not_started() -> None:
    fakes = Fakes()
    repo = begin(fakes)
    fakes.clock.time += 61
    fakes.finish_build(repo)
    assert deliver(fakes) == 204
    assert fakes.hub.started == []


def test_a_failed_build_fails_its_launches() -> None:
    fakes = Fakes()
    begin(fakes)
    fakes.backend.finish(fakes.backend.submitted[0].name, BuildStatus.FAILURE, "no such package")
    deliver(fakes)
    [launch] = fakes.world().launches.where("open", "no")
    assert (launch.phase, launch.reason) == (Phase.FAILED, "no such package")


def test_a_full_hub_leaves_the_launch_queued() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    fakes.hub.errors = [RateLimited("JupyterHub", retry_after_s=5)]
    assert deliver(fakes) == 204
    [launch] = fakes.world().launches.where("open", "yes")
    assert launch.paused_until == fakes.clock.time + 5


def test_a_backend_that_cannot_be_asked_has_the_message_delivered_again() -> None:
    fakes = Fakes()
    begin(fakes)
    fakes.backend.error = UpstreamError("Kubernetes", "answered 500.")
    with pytest.raises(UpstreamError):
        deliver(fakes)


def test_a_build_that_is_not_ours_is_acknowledged() -> None:
    assert deliver(Fakes(), push("somebody-elses")) == 204


def test_the_build_is_found_by_the_data_when_attributes_are_lost() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    data = base64.b64encode(json.dumps({"id": fakes.backend.submitted[0].name}).encode()).decode()
    assert deliver(fakes, json.dumps({"message": {"data": data}}).encode()) == 204
    assert len(fakes.hub.started) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"message": {"data": "!"}}',
        b'{"message": 1}',
        b'{"message": {"attributes": {"buildId": 7}}}',
    ],
)
def test_what_cannot_be_read_is_refused_for_good(body: bytes) -> None:
    with pytest.raises(BadRequest):
        deliver(Fakes(), body)


@pytest.mark.parametrize("authorization", ["", "Bearer guess", "push"])
def test_strangers_are_refused_before_anything_is_read(authorization: str) -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    with pytest.raises(BadSignature):
        deliver(fakes, authorization=authorization)
    assert fakes.hub.started == []
