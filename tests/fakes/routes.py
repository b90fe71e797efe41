"""The internet of a test: hosts by name, each of which is a server on loopback."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.response import BaseHTTPResponse


class Routes:
    """A connection pool for HttpClient. `asked` is every address that was asked for; unknown hosts fail the test."""

    def __init__(self, servers: dict[str, str]) -> None:
        self.asked: list[str] = []
        self._servers = servers
        self._pool = urllib3.PoolManager(maxsize=10)

    def urlopen(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        self.asked.append(url)
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        return self._pool.urlopen(method, self._servers[origin] + url.removeprefix(origin), **options)
