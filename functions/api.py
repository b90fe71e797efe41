"""The JSON API: builds and launches as resources, for programs that ask again rather than follow a stream.

docs/api.md tells how to use it, `/api/openapi.json` describes it. Whoever knows a launch's id may see and stop it.
Nothing here reads a cookie, and bodies are JSON, so that no other site's form can act for a visitor.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, islice
from types import ModuleType
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, request

from functions import edge
from functions.core import progress
from functions.core.errors import BadRequest, NotAllowed, NotFound
from functions.core.launch import Launch
from functions.core.names import build_id, image_of_build
from functions.core.resume import resume_key
from functions.launching import asking, retelling, stopping
from functions.launching.advance import place_in_queue
from functions.launching.arrival import Asked
from functions.launching.stream import follow
from functions.web import counted, visitor
from functions.web.bodies import json_body
from functions.world import World

if TYPE_CHECKING:
    from msgspec import Struct

    from functions.core.resources import Wish

rest = Blueprint("rest", __name__, url_prefix="api")

# First folders below /api/ that are ours; whoever asks there is answered with problem+json.
FOLDERS = frozenset({"builds", "launches", "openapi.json"})
LARGEST_WISH_BYTES = 16 * 1024
PAGE = 100
# Long enough to be nobody else's by chance: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
# A quoted string there; without quotes it is the same key.
_IDEMPOTENCY_KEY = re.compile(r'"([!#-~]{20,200})"|([!#-~]{20,200})')


@rest.get("/openapi.json")
def openapi() -> Response:
    """What is here, for programs: https://spec.openapis.org/oas/v3.1.0"""
    from functions.web import openapi

    return edge.answer(openapi.document(_world().config), headers=edge.NO_CACHE)


@rest.post("/builds")
def create_build() -> Response:
    """See to the image of a commit, without a server."""
    world = _world()
    if not (world.config.launches.build_only or world.config.web.api_only):
        raise NotAllowed("Building but not launching is not permitted here. It takes launches.build_only.")
    asked = _asked(_wish(), world)
    # The key of a launch is none of a build.
    counted.count(replace(asked, resume_key=""), world)
    build = asking.ask_for_build(asked, world)
    id_ = build_id(build.image, world.config.registry.image_prefix)
    status = 202 if build.open else 200
    return _show(_resources().build_view(build, build_id=id_, root=_root()), status=status, location=f"builds/{id_}")


@rest.get("/builds/<build>")
def get_build(build: str) -> Response:
    """How a build goes."""
    found = asking.known_build(_image(build), _world())
    return _show(_resources().build_view(found, build_id=build, root=_root()))


@rest.get("/builds/<build>/log")
def get_log(build: str) -> Response:
    """What a build has said so far, as text."""
    world = _world()
    lines = retelling.build_log(asking.known_build(_image(build), world), world)
    # The first line is read before the answer begins, so that a backend that is out is a 502 and not a broken text.
    first = list(islice(lines, 1))
    text = (line if line.endswith("\n") else f"{line}\n" for line in chain(first, lines))
    return Response(text, content_type="text/plain; charset=utf-8", headers=dict(edge.NO_CACHE))


@rest.post("/launches")
def create_launch() -> Response:
    """Begin a launch. With an Idempotency-Key, a repeated request is about the same launch."""
    world = _world()
    asked = _asked(_wish(), world)
    counted.count(asked, world)
    launch = asking.ask_for_launch(asked, world)
    return _show(_launch_view(launch, world), status=201, location=f"launches/{launch.id}")


@rest.get("/launches/<launch>")
def get_launch(launch: str) -> Response:
    """Where a launch is. Asking is also what keeps it wanted: its steps are taken while somebody does."""
    world = _world()
    return _show(_launch_view(asking.look_after(_known(launch, world), world), world))


@rest.delete("/launches/<launch>")
def stop_launch(launch: str) -> Response:
    """End a launch, with its server."""
    world = _world()
    return _show(_launch_view(stopping.stop(_known(launch, world), world), world))


@rest.get("/launches/<launch>/events")
def list_events(launch: str) -> Response:
    """What was told of a launch: a page of it as JSON, or the stream for who accepts text/event-stream."""
    world = _world()
    found = _known(launch, world)
    if request.accept_mimetypes.best_match(("application/json", "text/event-stream")) == "text/event-stream":
        resume = progress.parse_event_id(request.headers.get("Last-Event-ID", ""))
        if resume is not None and resume.is_end:
            return Response(status=204)
        told = resume.number if resume and resume.launch_id == found.id else 0
        return edge.as_stream(follow(found, world, told=told))
    return _page(found, world)


def _page(launch: Launch, world: World) -> Response:
    resources = _resources()
    after, limit = _number("after", 0, least=0), _number("limit", PAGE, least=1, most=resources.MOST_EVENTS)
    story = enumerate(retelling.events_so_far(launch, world), start=1)
    found = list(islice(story, after, after + limit + 1))
    page = [resources.NumberedEvent(number, event) for number, event in found[:limit]]
    following = f"{_root()}/launches/{launch.id}/events?after={after + limit}&limit={limit}"
    return _show(resources.EventPage(page, following if len(found) > limit else None))


def _wish() -> Wish:
    wish: Wish = _resources().read_wish(json_body(request, most_bytes=LARGEST_WISH_BYTES))
    return wish


def _asked(wish: Wish, world: World) -> Asked:
    return Asked(
        provider=wish.provider,
        spec=wish.spec.rstrip("/"),
        host=visitor.host_url(request, world.config),
        client_ip=visitor.client_ip(request, world.config),
        resume_key=_idempotency_key(wish, world),
        resume=None,
        origin=world.config.web.origin or request.host,
        request_origin=request.headers.get("Origin", ""),
    )


def _idempotency_key(wish: Wish, world: World) -> str:
    """Under what a repeated request finds its launch: of the same sender only, since the key opens the server."""
    if "Idempotency-Key" not in request.headers:
        return ""
    found = _IDEMPOTENCY_KEY.fullmatch(request.headers["Idempotency-Key"])
    if found is None:
        raise BadRequest("An Idempotency-Key has 20 to 200 printable characters; a random UUID is a good one.")
    sender = f"{visitor.client_ip(request, world.config)} {found[1] or found[2]}"
    return resume_key(world.config.launches.secret.reveal(), sender, f"api/{wish.provider}", wish.spec)


def _known(launch_id: str, world: World) -> Launch:
    launch = world.launches.get(launch_id) if progress.parse_event_id(f"{launch_id}.0") else None
    if launch is None:
        raise NotFound("There is no such launch, or it ended long ago.")
    return launch


def _image(build: str) -> str:
    try:
        return image_of_build(build, _world().config.registry.image_prefix)
    except ValueError as error:
        raise NotFound("There is no such build.") from error


def _number(name: str, default: int, *, least: int, most: int = 10**9) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) <= most):
        raise BadRequest(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def _launch_view(launch: Launch, world: World) -> Struct:
    id_ = build_id(launch.image, world.config.registry.image_prefix)
    view: Struct = _resources().launch_view(launch, place_in_queue(launch, world), build_id=id_, root=_root())
    return view


def _show(view: Struct, *, status: int = 200, location: str = "") -> Response:
    headers = {**edge.NO_CACHE, **({"Location": f"{_root()}/{location}"} if location else {})}
    return Response(_resources().write(view), status=status, mimetype="application/json", headers=headers)


def _resources() -> ModuleType:
    """Loaded by the first call: launch links, which most instances serve alone, do without the library behind it."""
    from functions.core import resources

    return resources


def _root() -> str:
    return f"{_world().config.web.base_path}api"


def _world() -> World:
    world: World = current_app.config["WORLD"]
    return world
