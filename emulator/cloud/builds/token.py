"""Who may ask: everybody who sends the token, as for the rest of the stack."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from emulator.cloud.builds.errors import ApiError

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REFUSAL = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential."
)


class Guard:
    """Wraps handlers: no token, no answer; refusals that they raise become Google's JSON."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def __call__(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            try:
                if not hmac.compare_digest(given, self._expected):
                    raise ApiError("UNAUTHENTICATED", _REFUSAL)
                return await handler(request)
            except ApiError as error:
                return error.response()

        return guarded
