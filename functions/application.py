"""The one Flask application behind `pages` and `build`, so that a small deployment can serve both from one function."""

from __future__ import annotations

import secrets

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from functions import build, edge, pages
from functions.world import World

_FOLDER = "web"


def make_application(world: World) -> Flask:
    """The application over *world*."""
    app = Flask("functions", template_folder=f"{_FOLDER}/templates", static_folder=None)
    app.config["WORLD"] = world
    # A spec may hold an encoded URL, slashes in a row included; the raw target is what is read.
    app.url_map.merge_slashes = False
    app.register_blueprint(build.api)
    app.register_blueprint(pages.site)
    app.before_request(_make_nonce)
    app.after_request(_protect)
    app.register_error_handler(HTTPException, _as_page)
    return app


def _make_nonce() -> None:
    g.nonce = secrets.token_urlsafe(16)


def _as_page(error: HTTPException) -> Response:
    if error.code == 404:
        return pages.not_found()
    return edge.answer({"error": error.name, "message": error.description}, status=error.code or 500)


def _protect(response: Response) -> Response:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; script-src 'self' 'nonce-{g.nonce}'; img-src 'self' data: https:; "
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors *"
        )
    return response
