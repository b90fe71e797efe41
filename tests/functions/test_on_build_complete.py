"""The end of a build, announced once, twice, late, falsely or by strangers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import jwt
import pytest
from flask import Request, Response

from functions import edge
from functions.adapters.http import ONCE, HttpClient
from functions.adapters.identity import TokenVerifier
from functions.core.errors import BadRequest, BadSignature, RateLimited, UpstreamError
from functions.core.launch import Phase
from functions.core.ports import BuildStatus, ResolvedRepo
from functions.cull import cull
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.on_build_complete import on_build_complete
from functions.world import World
from tests.fakes.world import Fakes
from tests.functions.requests import cloud_event, push, request

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
    assert (launch.phase, launch.asked_at, launch.paused_until) == (Phase.LAUNCHING, 0.0, 0.0)


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
        b'{"message": {"attributes": {"buildId": "a\\u0000b"}}}',
        b'{"message": {"attributes": {"buildId": "\\ud800"}}}',
        b'{"message": {"attributes": {"buildId": "%s"}}}' % (b"a" * 201),
        b'{"message": {"attributes": []}}',
        b'{"message": {"data": 1}}',
        b'{"message": {"data": "e30="}}',
        b'{"message": {"data": "gA=="}}',
        b'{"message": null}',
        b"[" * 100_000,
        b'{"message": {"data": "%s"}}' % base64.b64encode(b"[" * 100_000),
        b"\xff\xfe",
        b'"' + b"x" * 1_000_001 + b'"',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_cannot_be_read_is_refused_for_good(body: bytes) -> None:
    with pytest.raises(BadRequest):
        deliver(Fakes(), body)


def status_of(function: Callable[[Request, World], Response], world: World, **options: Any) -> int:
    """What Pub/Sub and the scheduler see of a call."""

    @edge.as_event
    def handler(request: Request) -> Response:
        return function(request, world)

    return handler(request(**options)).status_code


FORMS: dict[str, tuple[Callable[[bytes], bytes], dict[str, str]]] = {
    "push": (lambda body: body, {"Content_Type": "application/json"}),
    "binary event": (
        lambda body: body,
        {"Content_Type": "application/json", "ce_type": "google.cloud.pubsub.topic.v1.messagePublished", "ce_id": "1"},
    ),
    "structured event": (cloud_event, {"Content_Type": "application/cloudevents+json; charset=utf-8"}),
    "encoded event": (partial(cloud_event, encoded=True), {"Content_Type": "application/cloudevents+json"}),
}


@pytest.mark.parametrize(("wrap", "headers"), FORMS.values(), ids=FORMS.keys())
def test_a_push_and_every_form_of_event_are_understood(wrap: Callable[[bytes], bytes], headers: dict[str, str]) -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    body = wrap(push(fakes.backend.submitted[0].name))
    answer = on_build_complete(request(body=body, authorization="Bearer push", **headers), fakes.world())
    assert (answer.status_code, len(fakes.hub.started)) == (204, 1)


@pytest.mark.parametrize("body", [b"{}", b'{"data": 1}', b'{"data_base64": "!"}', b'{"data_base64": "gA=="}', b"[]"])
def test_an_event_that_holds_no_push_is_refused_for_good(body: bytes) -> None:
    event = request(body=body, authorization="Bearer push", Content_Type="application/cloudevents+json")
    with pytest.raises(BadRequest):
        on_build_complete(event, Fakes().world())


def test_a_body_of_unknown_length_is_not_read_without_end() -> None:
    class Endless(BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None and size >= 0, "all of it was asked for"
            self.taken += size
            return b" " * size

    body = Endless()
    environ = request(authorization="Bearer push").environ
    chunked = Request({**environ, "wsgi.input": body, "wsgi.input_terminated": True})
    with pytest.raises(BadRequest):
        on_build_complete(chunked, Fakes().world())
    assert body.taken < 3_000_000


def test_what_the_caller_is_told_says_whether_it_should_come_again() -> None:
    def answered(fakes: Fakes, body: bytes, authorization: str = "Bearer push") -> int:
        return status_of(on_build_complete, fakes.world(), body=body, authorization=authorization)

    fakes = Fakes()
    begin(fakes)
    message = push(fakes.backend.submitted[0].name)
    assert answered(fakes, body=message) == 204
    assert answered(fakes, body=push("somebody-elses")) == 204
    assert answered(fakes, body=b"no push") == 400
    assert answered(fakes, body=message, authorization="Bearer guess") == 401
    fakes.backend.error = UpstreamError("Cloud Build", "answered 500.")
    assert answered(fakes, body=message) == 503


def test_without_certificates_a_push_and_a_schedule_have_to_come_again() -> None:
    client = HttpClient("The identity service", "http://127.0.0.1:1", retry=ONCE)
    verifier = TokenVerifier(client, certs_url="certs", audience="a", service_account="b")
    world = replace(Fakes().world(), push_verifier=verifier, scheduler_verifier=verifier)
    token = "Bearer " + jwt.encode({}, "k" * 32, headers={"kid": "k1"})
    for function in (on_build_complete, cull):
        assert status_of(function, world, authorization=token) == 503
        assert status_of(function, world, authorization="Bearer guess") == 401


ORDERS = [
    ("WORKING", "SUCCESS"),
    ("SUCCESS", "WORKING"),
    ("SUCCESS", "QUEUED", "WORKING", "SUCCESS"),
    ("WORKING", "QUEUED", "WORKING", "SUCCESS", "SUCCESS"),
    ("SUCCESS", "FAILURE"),
    ("SUCCESS", "CANCELLED", "EXPIRED"),
]


@pytest.mark.parametrize("statuses", ORDERS, ids=" ".join)
def test_statuses_in_any_order_never_move_a_build_backwards(statuses: tuple[str, ...]) -> None:
    # The backend itself may answer from an older copy.
    fakes = Fakes()
    repo = begin(fakes)
    fakes.registry.put(fakes.image(repo))
    name = fakes.backend.submitted[0].name
    ranks = []
    for status in statuses:
        fakes.backend.finish(name, BuildStatus(status))
        assert deliver(fakes, push(name, status)) == 204
        build = fakes.world().builds.get(fakes.image(repo))
        assert build is not None
        ranks.append(["QUEUED", "WORKING", "SUCCESS"].index(build.status))
    assert ranks == sorted(ranks)
    assert (ranks[-1], len(fakes.hub.started), len(fakes.backend.submitted)) == (2, 1, 1)


@pytest.mark.parametrize("authorization", ["", "Bearer guess", "push"])
def test_strangers_are_refused_before_anything_is_read(authorization: str) -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    with pytest.raises(BadSignature):
        deliver(fakes, authorization=authorization)
    assert fakes.hub.started == []
