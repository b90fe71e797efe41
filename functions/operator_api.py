"""The operator's limits over HTTP: what `python -m functions admin` does, for who has a token (docs/limits.md).

It is there only where a token is set. Nothing here reads a cookie, no other site's page may use it, and no limit holds
for it: who has closed the network that they are in can still open it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType

from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import PreconditionFailed, PreconditionRequired

from functions import edge
from functions.core.errors import BadSignature
from functions.core.limit_commands import changed
from functions.core.limits import Limits
from functions.core.operators import tokens_of, who
from functions.web import visitor
from functions.web.bodies import json_body
from functions.world import World

log = logging.getLogger(__name__)

FOLDER = "admin"
limits = Blueprint("operator", __name__, url_prefix=f"api/{FOLDER}")

LARGEST_COMMAND_BYTES = 16 * 1024
# Twice of what limits may be: spaces, and characters written as escapes.
LARGEST_LIMITS_BYTES = 512 * 1024
LONGEST_LOGGED = 1000


@limits.before_request
def check_token() -> None:
    """Nothing of a request is read before it is known who sends it. Raises BadSignature."""
    g.who = who(request.headers.get("Authorization", ""), tokens_of(_world().config.web))


@limits.errorhandler(BadSignature)
def unknown(error: BadSignature) -> Response:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3"""
    if "Authorization" in request.headers:
        log.warning("operator refused", extra={"fields": {"address": visitor.client_ip(request, _world().config)}})
    return replace(edge.as_refusal(error), headers={"WWW-Authenticate": "Bearer"}).as_problem()


@limits.get("/limits")
def get_limits() -> Response:
    """What is permitted, as the store has it now."""
    return _show(_world().limits.stored())


@limits.put("/limits")
def put_limits() -> Response:
    """Replace all of it, unless somebody was faster than who sends it."""
    if "If-Match" not in request.headers:
        raise PreconditionRequired("If-Match must name the limits that are replaced: the ETag of a GET, or * for any.")
    wanted: Limits = _documents().read_limits(json_body(request, most_bytes=LARGEST_LIMITS_BYTES))
    before: list[Limits] = []

    def replaced(known: Limits) -> Limits:
        before[:] = [known]
        # Who asks again, since an answer was lost, is told what became of it.
        if request.if_match.contains(_tag(known)) or _tag(known) == _tag(wanted):
            return wanted
        raise PreconditionFailed("The limits were changed meanwhile. Get them again, and put into them what you want.")

    after = _world().limits.change(replaced)
    changes = _documents().changes(before[0], after)
    if changes:
        _log(changes)
    return _show(after)


@limits.post("/limits/commands")
def command_limits() -> Response:
    """Carry out one command. It is of what the store has, so it needs no If-Match."""
    words = _documents().read_command(json_body(request, most_bytes=LARGEST_COMMAND_BYTES))
    after = _world().limits.change(lambda before: changed(before, words))
    _log({"command": " ".join(words)})
    return _show(after)


def _log(what: Mapping[str, object]) -> None:
    told = {name: _shortened(value) for name, value in what.items()}
    address = visitor.client_ip(request, _world().config)
    log.info("limits changed", extra={"fields": {"who": g.who, "address": address} | told})


def _shortened(value: object) -> object:
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= LONGEST_LOGGED else f"{text[:LONGEST_LOGGED]}..."


def _show(shown: Limits) -> Response:
    response = Response(_documents().write(shown), mimetype="application/json")
    response.set_etag(_tag(shown))
    return response


def _tag(shown: Limits) -> str:
    tag: str = _documents().tag(shown)
    return tag


def _documents() -> ModuleType:
    """Loaded by the first call: launch links do without the library behind it."""
    from functions.core import limit_document

    return limit_document


def _world() -> World:
    world: World = current_app.config["WORLD"]
    return world
