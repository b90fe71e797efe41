"""The one Flask application behind `pages` and `build`, so that a small deployment can serve both from one function.

It takes webhooks as well: where one function has the address, hosts are told to call that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, current_app, g, redirect, request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestURITooLarge

from functions import api, build, edge, operator_api, pages
from functions.core.errors import BinderError
from functions.core.limits import check_sender
from functions.core.operators import tokens_of
from functions.core.settings import WebSettings
from functions.core.specs import MAX_TARGET
from functions.reporting.health import Health
from functions.web import cors, counted, legacy, visitor
from functions.webhook import webhook
from functions.world import World

_FOLDER = "web"
# What reads a body takes far less; this is only how much of one is put up with. Webhooks have a bound of their own.
LARGEST_BODY_BYTES = 1024 * 1024
_WEBHOOKS = "webhooks"
_ANY = ("GET", "POST", "PUT", "PATCH", "DELETE")
# First folders of addresses that programs ask for, whatever they say they accept.
# What who watches over hubs asks for, and what is signed; it is never closed to a network.
_OPEN = frozenset({"versions", "health", "metrics", _WEBHOOKS})
_API = frozenset({"api", "versions", "health", "metrics", "_config", _WEBHOOKS})


def make_application(world: World) -> Flask:
    """The application over *world*, below `web.base_path`."""
    web = world.config.web
    app = Flask("functions", template_folder=f"{_FOLDER}/templates", static_folder=None)
    app.config["WORLD"] = world
    app.config["HEALTH"] = Health(world)
    # A spec may hold an encoded URL, slashes in a row included; the raw target is what is read.
    app.url_map.merge_slashes = app.url_map.redirect_defaults = False
    for blueprint in _blueprints(web):
        app.register_blueprint(blueprint, url_prefix=web.base_path + (blueprint.url_prefix or ""))
    app.add_url_rule(
        f"{web.base_path}{_WEBHOOKS}/<path:_host>", _WEBHOOKS, lambda _host: webhook(request, world), methods=_ANY
    )
    if web.base_path != "/" and not web.api_only:
        app.add_url_rule(web.base_path.rstrip("/"), "base_path", lambda: redirect(web.base_path))
    app.before_request(_check)
    app.after_request(_protect)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(BinderError, _refused)
    return app


def _blueprints(web: WebSettings) -> Iterator[Blueprint]:
    yield from (build.api, api.rest, pages.files)
    if tokens_of(web):
        yield operator_api.limits
    if not web.api_only:
        yield from (pages.site, legacy.links, legacy.old_api)


def _check() -> Response | None:
    """What no view should have to think of. Every address can be asked with OPTIONS."""
    g.nonce = secrets.token_urlsafe(16)
    if not request.host:
        # Links are made of it.
        raise BadRequest("The Host header does not name a host.")
    if len(visitor.raw_target(request)) > MAX_TARGET:
        raise RequestURITooLarge(f"This address is longer than {MAX_TARGET} characters.")
    if (request.content_length or 0) > LARGEST_BODY_BYTES and _first_folders()[0] != _WEBHOOKS:
        raise RequestEntityTooLarge(f"The body is larger than {LARGEST_BODY_BYTES} bytes.")
    if _first_folders()[0] not in _OPEN and not _is_operators():
        world: World = current_app.config["WORLD"]
        check_sender(world.limits.now(), visitor.client_ip(request, world.config))
    return cors.preflight(request, shared=not _is_operators()) if request.method == "OPTIONS" else None


def _refused(error: HTTPException | BinderError) -> Response:
    """An error as whoever asked can read it: an event of a stream, JSON for programs, a page for people."""
    refusal = edge.as_refusal(error)
    folder, subfolder = _first_folders()
    if folder == "build":
        return build.refused(refusal)
    if folder == "api" and (subfolder in api.FOLDERS or _is_operators()):
        return refusal.as_problem()
    if folder in _API or _web().api_only or _prefers_json():
        return refusal.as_json()
    # A page may be what is broken.
    return pages.refused(refusal) if refusal.status != 500 else Response(refusal.message, 500, mimetype="text/plain")


def _first_folders() -> tuple[str, str]:
    base_path = _web().base_path
    folder, _, rest = request.path.removeprefix(base_path).partition("/")
    return (folder, rest.partition("/")[0]) if request.path.startswith(base_path) else ("", "")


def _is_operators() -> bool:
    """Whether the address is the operator's: closed to other sites' pages, and open whatever the limits are."""
    return _first_folders() == ("api", operator_api.FOLDER) and bool(tokens_of(_web()))


def _prefers_json() -> bool:
    return request.accept_mimetypes.best_match(("text/html", "application/json")) == "application/json"


def _web() -> WebSettings:
    world: World = current_app.config["WORLD"]
    return world.config.web


def _protect(response: Response) -> Response:
    counted.tell(response)
    if _is_operators():
        response.headers["Cache-Control"] = "no-store"
    else:
        cors.allow(request, response, _web().cors_allow_origins)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    if response.mimetype == "text/html":
        # What the operator wrote into banner and about page may have style attributes; scripts are only ours.
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; script-src 'self' 'nonce-{g.nonce}'; style-src-attr 'unsafe-inline'; "
            "img-src 'self' data: https:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors *"
        )
    return response
