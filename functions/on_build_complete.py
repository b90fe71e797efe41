"""A build has ended: record it, and start the servers of everybody who waits for it.

The message is Cloud Build's (https://cloud.google.com/build/docs/subscribe-build-notifications), whatever built the
image, and only ever a hint: what is true is read again from the backend.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from typing import Any

from flask import Request, Response

from functions import edge
from functions.core.errors import BadRequest, UpstreamError
from functions.launching.advance import advance
from functions.launching.building import refresh_build
from functions.world import World

log = logging.getLogger(__name__)

BUDGET_S = 60.0
MOST_BYTES = 1_000_000
# Of Cloud Build (a UUID), or of a Kubernetes job.
_BUILD_ID = re.compile(r"[!-~]{1,200}")
_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)


def on_build_complete(request: Request, world: World) -> Response:
    """Acknowledge (204) what is done or not ours; 400 what cannot be read; 503 what must be delivered again."""
    world.push_verifier.verify(request.headers.get("Authorization", ""))
    backend_id = _build_id(request)
    builds = world.builds.where("backend_id", backend_id)
    if not builds:
        log.info("not our build", extra={"fields": {"build": backend_id}})
        return edge.acknowledged()
    deadline = world.clock.now() + BUDGET_S
    for build in builds:
        build = refresh_build(build, world)
        log.info(
            "build ended", extra={"fields": {"image": build.image, "status": build.status, "reason": build.reason}}
        )
        _advance_waiting(build.image, world, deadline)
    return edge.acknowledged()


def _advance_waiting(image: str, world: World, deadline: float) -> None:
    for launch in sorted(world.launches.where("waiting_for", image), key=lambda it: it.created_at):
        if world.clock.now() > deadline:
            raise UpstreamError("The hub", "has more launches to start than one delivery has time for.")
        advance(launch.id, world)


def _build_id(request: Request) -> str:
    """The id of the build that a push is about."""
    message = _message(request)
    try:
        attributes: Any = message.get("attributes") or {}
        build_id = attributes.get("buildId") or json.loads(base64.b64decode(message["data"], validate=True))["id"]
    except (*_UNREADABLE, AttributeError, binascii.Error) as error:
        raise BadRequest("This is no Pub/Sub message about a build.") from error
    if not isinstance(build_id, str) or not _BUILD_ID.fullmatch(build_id):
        raise BadRequest("The message names no build.")
    return build_id


def _message(request: Request) -> Any:
    """The message in a Pub/Sub push, or in a CloudEvent that holds one.

    Eventarc's have the push as their body (binary mode); in structured mode it is the member `data`.
    https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md
    """
    body = request.stream.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise BadRequest("The message is too large.")
    try:
        push = json.loads(body)
        if request.mimetype == "application/cloudevents+json":
            push = push["data"] if "data" in push else json.loads(base64.b64decode(push["data_base64"], validate=True))
        return push["message"]
    except (*_UNREADABLE, binascii.Error) as error:
        raise BadRequest("This is no Pub/Sub message.") from error
