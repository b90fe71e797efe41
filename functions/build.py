"""The API: `/build/<provider>/<spec>` streams a launch; `/versions`, `/health` and `/api/*` tell about this hub."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from flask import Blueprint, Request, Response, current_app, request

from functions import edge, visitor
from functions.core import progress
from functions.core.errors import BadRequest, BinderError
from functions.core.resume import resume_key
from functions.core.specs import parse_target
from functions.stream import Asked, launch_stream
from functions.world import World

log = logging.getLogger(__name__)

api = Blueprint("api", __name__)


@api.route("/build", defaults={"_path": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@api.route("/build/<path:_path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def stream(_path: str) -> Response:
    """One launch as Server-Sent Events. Always 200: a browser's EventSource understands nothing else.

    Except for one that was left open after the end: it comes back by itself, and 204 tells it to stop that.
    https://html.spec.whatwg.org/multipage/server-sent-events.html#server-sent-events-intro
    """
    world: World = current_app.config["WORLD"]
    browser = visitor.browser(request)
    try:
        _check(request)
        asked = _asked(request, browser, world)
        if asked.resume is not None and asked.resume.is_end:
            return Response(status=204)
        events = launch_stream(asked, world)
    except BinderError as error:
        events = iter([progress.encode(progress.failed(str(error), status=error.status))])
    if request.method == "HEAD":
        events = iter([])
    return _as_stream(events)


def _check(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise BadRequest("Method Not Allowed")
    accepted = [kind.partition(";")[0].strip() for kind in request.headers.get("Accept", "").split(",")]
    if "text/event-stream" not in accepted:
        raise BadRequest("Missing Accept header: text/event-stream")


def _asked(request: Request, browser: str, world: World) -> Asked:
    target = parse_target(visitor.raw_target(request), "build")
    secret = world.config.launches.secret.reveal()
    return Asked(
        provider=target.provider,
        spec=target.spec,
        host=visitor.host_url(request, world.config),
        client_ip=visitor.client_ip(request, world.config),
        resume_key=resume_key(secret, browser, target.provider, target.spec) if browser else "",
        resume=progress.parse_event_id(request.headers.get("Last-Event-ID", "")),
    )


def _as_stream(events: Iterator[str]) -> Response:
    response = Response(events, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@api.get("/versions")
def versions() -> Response:
    """What runs here, as BinderHub says it; other tools recognise a BinderHub by this answer."""
    config = current_app.config["WORLD"].config
    image = config.builds.image
    return edge.answer(
        {"builder_info": {"build_image": image}, "binderhub": config.web.version, "builder": image},
        headers={"Access-Control-Allow-Origin": "*"},
    )


@api.get("/health")
def health() -> Response:
    """Whether a launch would work: the services behind us, each with its answer; 503 when one of them is out."""
    world: World = current_app.config["WORLD"]
    prefix = world.config.registry.image_prefix
    checks = [
        {"service": "JupyterHub API", "ok": _works(world.hub.healthy)},
        {"service": "Docker registry", "ok": _works(lambda: bool(world.registry.find(f"{prefix}some-image:none")))},
    ]
    ok = all(check["ok"] for check in checks)
    return edge.answer({"ok": ok, "checks": checks}, status=200 if ok else 503, headers=edge.NO_CACHE)


@api.get("/api/repoproviders")
def repo_providers() -> Response:
    """The display configuration of every provider, for pages that build launch links."""
    world: World = current_app.config["WORLD"]
    return edge.answer(
        [provider.display_config() for provider in world.providers.values()],
        headers={"Access-Control-Allow-Origin": "*"},
    )


def _works(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except BinderError as error:
        log.warning("unhealthy", extra={"fields": {"reason": str(error)}})
        return False
