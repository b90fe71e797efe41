"""Where errors become answers: JSON for callers of the API, acknowledgement or retry for events, HTML never."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Request, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from functions.core.errors import BinderError, RateExceeded, RateLimited

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response]

NO_CACHE: Mapping[str, str] = {"Cache-Control": "no-cache"}


def answer(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(json.dumps(data), status=status, mimetype="application/json", headers=dict(headers or {}))


def as_stream(events: Iterator[str]) -> Response:
    """Server-Sent Events that no proxy keeps back."""
    headers = {**NO_CACHE, "X-Accel-Buffering": "no"}
    return Response(events, mimetype="text/event-stream", headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request failed, before it is known who reads it. `error` is a name for programs, `message` a sentence."""

    status: int
    error: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def phrase(self) -> str:
        """HTTP's own words for the status."""
        return HTTPStatus(self.status).phrase

    def as_json(self) -> Response:
        """For callers who read JSON."""
        return answer({"error": self.error, "message": self.message}, status=self.status, headers=self.headers)

    def as_problem(self) -> Response:
        """For callers of the JSON API: https://www.rfc-editor.org/rfc/rfc9457"""
        problem = {
            "type": "about:blank",
            "title": self.phrase,
            "status": self.status,
            "detail": self.message,
            "error": self.error,
        }
        response = answer(problem, status=self.status, headers=self.headers)
        response.mimetype = "application/problem+json"
        return response


def as_refusal(error: BinderError | HTTPException) -> Refusal:
    """What is told of *error*: its sentence, never its traceback."""
    if isinstance(error, BinderError):
        wait = {"Retry-After": f"{error.retry_after_s:.0f}"} if isinstance(error, RateExceeded | RateLimited) else {}
        return Refusal(status=error.status, error=type(error).__name__, message=str(error), headers=wait)
    allow = {"Allow": ", ".join(sorted(error.valid_methods or ()))} if isinstance(error, MethodNotAllowed) else {}
    return Refusal(status=error.code or 500, error=type(error).__name__, message=error.description or "", headers=allow)


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
            return as_refusal(error).as_json()

    return wrapper
