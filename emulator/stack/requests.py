"""Small HTTP requests to the parts of the stack, never through a proxy."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 when nobody answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def request(
    url: str, *, method: str = "GET", token: str = "", content: Mapping[str, Any] | None = None, timeout_s: float = 5
) -> Answer:
    """Ask once; a refusal is an answer too."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if content is not None:
        headers["Content-Type"] = "application/json"
    data = None if content is None else json.dumps(content).encode()
    asked = urllib.request.Request(url, data=data, headers=headers, method=method)
    return await asyncio.to_thread(_send, asked, timeout_s)


def _send(asked: urllib.request.Request, timeout_s: float) -> Answer:
    try:
        with _DIRECT.open(asked, timeout=timeout_s) as response:
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, refusal.read())
    except (OSError, ValueError):
        return Answer(0, b"")


async def healthy(url: str) -> bool:
    """Whether *url* answers 200 right now."""
    parts = urlsplit(url)
    # Most often the answer is that nobody is there yet, for which a thread and a request would be much ado.
    return await listens(parts.hostname or "", parts.port or 80) and (await request(url, timeout_s=2)).status == 200


async def listens(host: str, port: int) -> bool:
    """Whether somebody listens at *port* of *host* right now."""
    try:
        _, connection = await asyncio.open_connection(host, port)
    except OSError:
        return False
    connection.close()
    return True
