"""The API: `/build/<provider>/<spec>` streams a launch; `/versions`, `/health`, `/metrics` and `/api/*` tell about this
hub."""

from __future__ import annotations

import hmac
from dataclasses import replace

from flask import Blueprint, Request, Response, current_app, request

from functions import edge
from functions.core import build_tokens, progress
from functions.core.errors import BadRequest, BadSignature, BinderError, MethodNotAllowed, RateExceeded
from functions.core.resume import resume_key
from functions.core.specs import LaunchTarget, parse_target
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.web import counted, visitor
from functions.world import World

api = Blueprint("api", __name__)


@api.route("/build", defaults={"_path": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@api.route("/build/<path:_path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def stream(_path: str) -> Response:
    """One launch as Server-Sent Events. Always 200: a browser's EventSource understands nothing else.

    Except for one that was left open after the end: it comes back by itself, and 204 tells it to stop that.
    https://html.spec.whatwg.org/multipage/server-sent-events.html#server-sent-events-intro
    """
    world: World = current_app.config["WORLD"]
    browser = visitor.browser(request, world.config)
    try:
        _check(request)
        resume = progress.parse_event_id(request.headers.get("Last-Event-ID", ""))
        if resume is not None and resume.is_end:
            return Response(status=204)
        asked = _asked(request, browser, world)
        if request.method != "HEAD":
            counted.count(asked, world)
        events = launch_stream(asked, world)
    except RateExceeded as error:
        # One that is left open comes back every few seconds; told that this is the end, it does not.
        events = iter([progress.encode(progress.failed(str(error), status=error.status), progress.REFUSED)])
    except BinderError as error:
        end = None if error.retry else progress.REFUSED
        events = iter([progress.encode(progress.failed(str(error), status=error.status), end)])
    if request.method == "HEAD":
        events = iter([])
    return edge.as_stream(events)


def _check(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("Method Not Allowed")
    accepted = [kind.partition(";")[0].strip() for kind in request.headers.get("Accept", "").split(",")]
    if "text/event-stream" not in accepted:
        raise BadRequest("Missing Accept header: text/event-stream")


def _asked(request: Request, browser: str, world: World) -> Asked:
    target = parse_target(visitor.raw_target(request), "build", base_path=world.config.web.base_path)
    secret = world.config.launches.secret.reveal()
    build_only = _wants_build_only(request, world)
    # Somebody who comes back for a server must not be led to an image alone.
    route = f"build-only/{target.provider}" if build_only else target.provider
    key = resume_key(secret, browser, route, target.spec) if browser else ""
    return Asked(
        provider=target.provider,
        spec=target.spec,
        host=visitor.host_url(request, world.config),
        client_ip=visitor.client_ip(request, world.config),
        resume_key=key,
        resume=progress.parse_event_id(request.headers.get("Last-Event-ID", "")),
        build_only=build_only,
        from_page=_comes_from_page(request, target, key, world),
        origin=world.config.web.origin or request.host,
        request_origin=request.headers.get("Origin") or request.headers.get("Sec-Fetch-Site", ""),
    )


def _comes_back(request: Request, key: str, world: World) -> bool:
    """Whether a page goes on with a stream by itself: with the token that it once began with, expired or not.

    By Last-Event-ID or, where a proxy's answer made the page begin a stream anew, by its cookie's resume *key*.
    """
    resume = progress.parse_event_id(request.headers.get("Last-Event-ID", ""))
    if resume is not None:
        return world.launches.get(resume.launch_id) is not None
    known = world.store.get("resume", key) if key else None
    launch = None if known is None else world.launches.get(str(known.data["launch_id"]))
    return launch is not None and (launch.open or launch.running)


def refused(refusal: edge.Refusal) -> Response:
    """A refusal as those who follow a launch can read it. Only what is our trouble is worth asking for again."""
    end = progress.REFUSED if refusal.status < 500 else None
    return edge.as_stream(iter([progress.encode(progress.failed(refusal.message, status=refusal.status), end)]))


def _wants_build_only(request: Request, world: World) -> bool:
    if request.args.get("build_only", "").lower() != "true":
        return False
    if not (world.config.launches.build_only or world.config.web.api_only):
        raise BadRequest(
            "Building but not launching is not permitted here. It takes launches.build_only or web.api_only."
        )
    return True


def _comes_from_page(request: Request, target: LaunchTarget, key: str, world: World) -> bool:
    """Whether a build token proves that a page of ours asks. Raises NotAllowed for a token that proves nothing."""
    token = request.args.get("build_token", "")
    if not token or _comes_back(request, key, world):
        return False
    settings = world.config.launches
    page = build_tokens.Page(provider=target.provider, raw_spec=target.raw_spec, origin=visitor.origin(request))
    build_tokens.check(
        token,
        page,
        build_tokens.token_keys(settings),
        now=world.clock.now(),
        check_origin=settings.token_check_origin,
    )
    return True


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


@api.get("/metrics")
def metrics() -> Response:
    """What launches and builds came to, in Prometheus' text format; the same from every instance."""
    # Imported late: no launch should wait for a library that only this needs.
    from functions.reporting import exposition

    world: World = current_app.config["WORLD"]
    token = world.config.web.metrics_token.reveal()
    if token and not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        refusal = edge.as_refusal(BadSignature("These metrics are read with a Bearer token."))
        return replace(refusal, headers={"WWW-Authenticate": "Bearer"}).as_json()
    text = exposition.exposition(world)
    return Response(text, content_type=exposition.CONTENT_TYPE, headers=dict(edge.NO_CACHE))


@api.get("/api/repoproviders")
def repo_providers() -> Response:
    """The display configuration of every provider, for pages that build launch links."""
    world: World = current_app.config["WORLD"]
    return edge.answer([provider.display_config() for provider in world.providers.values()])
