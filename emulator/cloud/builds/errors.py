"""Refusals as Google's APIs word them: https://cloud.google.com/apis/design/errors#http_mapping"""

from __future__ import annotations

from typing import Any

from aiohttp import web

_HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}


class ApiError(Exception):
    """The request cannot be served: *status* is one of google.rpc.Code's names."""

    def __init__(self, status: str, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self._field = field

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        error: dict[str, Any] = {"code": _HTTP[self.status], "message": str(self), "status": self.status}
        if self._field:
            violation = {"field": self._field, "description": str(self)}
            kind = "type.googleapis.com/google.rpc.BadRequest"
            error["details"] = [{"@type": kind, "fieldViolations": [violation]}]
        return {"error": error}

    def response(self) -> web.Response:
        headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'}
        return web.json_response(
            self.body(), status=_HTTP[self.status], headers=headers if self.status == "UNAUTHENTICATED" else None
        )


def invalid(message: str, *, field: str = "") -> ApiError:
    """A request that would be refused however often it is sent."""
    return ApiError("INVALID_ARGUMENT", message, field=field)
