"""The JSON body of a request, within bounds."""

from __future__ import annotations

from flask import Request

from functions.core.errors import BadRequest


def json_body(request: Request, *, most_bytes: int) -> bytes:
    """The body, not yet decoded. Raises BadRequest before it is read when it is none, or is too long."""
    if request.mimetype != "application/json":
        raise BadRequest("The body must be JSON, with Content-Type: application/json.")
    if request.content_length is None or request.content_length > most_bytes:
        raise BadRequest(f"The body must be at most {most_bytes} bytes long, with a Content-Length.")
    return request.get_data()
