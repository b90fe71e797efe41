"""What `main.py` offers to the functions framework: five functions that take a request and return a response."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Request, Response
from werkzeug.wrappers import Response as WSGIResponse

from functions import cull as culling
from functions import edge, structured_logs, wiring
from functions import on_build_complete as completion
from functions import webhook as webhooks
from functions.application import make_application
from functions.state.once import once
from functions.world import World


@once
def _application() -> Flask:
    structured_logs.set_up()
    return make_application(wiring.world())


def _served(request: Request) -> WSGIResponse:
    # The framework owns the outer application; ours answers within it, streaming included.
    return Response.from_app(_application(), request.environ, buffered=False)


def _handled(handler: Callable[[Request, World], Response], request: Request) -> Response:
    structured_logs.set_up()
    return handler(request, wiring.world())


def pages(request: Request) -> WSGIResponse:
    """`/`, `/v2/...`, badges, static files."""
    return _served(request)


def build(request: Request) -> WSGIResponse:
    """`/build/...`, `/versions`, `/health`, `/api/...`."""
    return _served(request)


@edge.as_event
def on_build_complete(request: Request) -> Response:
    """Pushed by Pub/Sub when a build has ended."""
    return _handled(completion.on_build_complete, request)


@edge.as_event
def cull(request: Request) -> Response:
    """Called by Cloud Scheduler."""
    return _handled(culling.cull, request)


@edge.as_json
def webhook(request: Request) -> Response:
    """`/webhooks/...`, called by git hosts."""
    return _handled(webhooks.webhook, request)
