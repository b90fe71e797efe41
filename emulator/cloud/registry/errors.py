"""The registry's refusals: error codes of the specification with their HTTP status.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

STATUS_OF_CODE: dict[str, int] = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DENIED": 403,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "RANGE_INVALID": 416,
    "SIZE_INVALID": 413,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED": 405,
}


class RegistryError(Exception):
    """A refusal with one of the specification's codes; *headers* go into the answer."""

    def __init__(self, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.code, self.headers = code, dict(headers or {})
        super().__init__(message)

    def response(self) -> web.Response:
        """The answer as the specification has it."""
        body = {"errors": [{"code": self.code, "message": str(self), "detail": None}]}
        return web.Response(
            status=STATUS_OF_CODE[self.code],
            text=json.dumps(body),
            content_type="application/json",
            headers=self.headers,
        )
