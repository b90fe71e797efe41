"""Where errors become answers: JSON for callers of the API, acknowledgement or retry for events, HTML never."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Request, Response

from functions.core.errors import BinderError, RateLimited

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response]

NO_CACHE: Mapping[str, str] = {"Cache-Control": "no-cache"}


def answer(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(json.dumps(data), status=status, mimetype="application/json", headers=dict(headers or {}))


def refusal(error: BinderError) -> Response:
    """The JSON answer to a request that failed with *error*."""
    headers = {"Retry-After": f"{error.retry_after_s:.0f}"} if isinstance(error, RateLimited) else None
    return answer({"error": type(error).__name__, "message": str(error)}, status=error.status, headers=headers)


def acknowledged() -> Response:
    """The answer to an event that is done with, or none of our business: it will not come again."""
    return Response(status=204)


def as_event(handler: Handler) -> Handler:
    """For what Pub/Sub and Cloud Scheduler deliver: 503 to be delivered again, 4xx what can never be handled."""

    @functools.wraps(handler)
    def wrapper(request: Request) -> Response:
        try:
            return handler(request)
        except BinderError as error:
            log.warning("event refused", extra={"fields": {"handler": handler.__name__, "reason": str(error)}})
            return answer(
                {"error": type(error).__name__, "message": str(error)}, status=503 if error.retry else error.status
            )

    return wrapper


def as_json(handler: Handler) -> Handler:
    """For callers who read JSON."""

    @functools.wraps(handler)
    def wrapper(request: Request) -> Response:
        try:
            return handler(request)
        except BinderError as error:
            return refusal(error)

    return wrapper
