"""The API: `/build/<provider>/<spec>` streams a launch; `/versions`, `/health` and `/api/*` tell about this hub."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Request, Response, current_app, request

from functions import edge, visitor
from functions.core import progress
from functions.core.errors import BadRequest, BinderError, MethodNotAllowed
from functions.core.resume import resume_key
from functions.core.specs import parse_target
from functions.stream import Asked, launch_stream
from functions.world import World

api = Blueprint("api", __name__)


@api.route("/build", defaults={"_path": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@api.route("/build/<path:_path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def stream(_path: str) -> Response:
    """One launch as Server-Sent Events. Always 200: a browser's EventSource understands nothing else."""
    world: World = current_app.config["WORLD"]
    browser = visitor.browser(request)
    try:
        _check(request)
        events = launch_stream(_asked(request, browser, world), world)
    except BinderError as error:
        events = iter([progress.encode(progress.failed(str(error), status=error.status))])
    if request.method == "HEAD":
        events = iter([])
    return _as_stream(events)


def _check(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("Method Not Allowed")
    accepted = [kind.partition(";")[0].strip() for kind in request.headers.get("Accept", "").split(",")]
    if "text/event-stream" not in accepted:
        raise BadRequest("Missing Accept header: text/event-stream")


def _asked(request: Request, browser: str, world: World) -> Asked:
    target = parse_target(visitor.raw_target(request), "build", base_path=world.config.web.base_path)
    secret = world.config.launches.secret.reveal()
    return Asked(
        provider=target.provider,
        spec=target.spec,
        host=visitor.host_url(request, world.config),
        client_ip=visitor.client_ip(request, world.config),
        resume_key=resume_key(secret, browser, target.provider, target.spec) if browser else "",
        resume=progress.parse_event_id(request.headers.get("Last-Event-ID", "")),
    )


def refused(refusal: edge.Refusal) -> Response:
    """A refusal as those who follow a launch can read it."""
    return _as_stream(iter([progress.encode(progress.failed(refusal.message, status=refusal.status))]))


def _as_stream(events: Iterator[str]) -> Response:
    response = Response(events, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


@api.get("/versions")
def versions() -> Response:
    """What runs here, as BinderHub says it. Tools recognise a BinderHub by it, and a federation compares it whole."""
    config = current_app.config["WORLD"].config
    info = dict(config.web.builder_info) or {"build_image": config.builds.image}
    builder = {"builder": info["build_image"]} if "build_image" in info else {}
    return edge.answer({"builder_info": info, "binderhub": config.web.version, **builder})


@api.get("/health")
def health() -> Response:
    """Whether a launch would work: the services behind us, each with its answer; 503 when one of them is out."""
    report = current_app.config["HEALTH"].report()
    return edge.answer(report, status=200 if report["ok"] else 503, headers=edge.NO_CACHE)


@api.get("/api/repoproviders")
def repo_providers() -> Response:
    """The display configuration of every provider, for pages that build launch links."""
    world: World = current_app.config["WORLD"]
    return edge.answer([provider.display_config() for provider in world.providers.values()])
