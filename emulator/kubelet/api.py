"""The API server as the kubelet sees it: JSON over HTTP with a bearer token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

# A pod with large annotations is still one line of a watch.
_LONGEST_LINE_BYTES = 8 * 2**20
_BETWEEN_KNOCKS_S = 0.02


@dataclass
class ApiError(Exception):
    """An answer that is not a success, or none at all (`code` 0)."""

    code: int
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: dict[str, Any]


class Api:
    """One API server; every failure is an ApiError."""

    def __init__(self, session: aiohttp.ClientSession, server: str, token: str) -> None:
        self._session = session
        self._server = server.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def await_server(self) -> None:
        """Return when the server answers, be it with a refusal: it may have been started together with us."""
        while True:
            try:
                await self.get("/version")
                return
            except ApiError as error:
                if error.code:
                    return
            await asyncio.sleep(_BETWEEN_KNOCKS_S)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        return await self._call("GET", path, query=query)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._call("POST", path, body=body)

    async def delete(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._call("DELETE", path, body=body)

    async def merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a strategic merge patch: objects merge, and lists as Kubernetes' types say, conditions by their type.

        https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
        """
        return await self._call("PATCH", path, body=body, content_type="application/strategic-merge-patch+json")

    async def watch(self, path: str, **query: str) -> AsyncIterator[WatchEvent]:
        """Follow *path* until the server ends the stream. An ERROR event is raised as ApiError."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=330)
        try:
            async with self._session.get(
                self._server + path, params={"watch": "true", **query}, headers=self._headers, timeout=timeout
            ) as response:
                await _raise_for_status(response)
                async for line in _lines(response.content):
                    yield _event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        headers = self._headers | ({"Content-Type": content_type} if body is not None else {})
        data = None if body is None else json.dumps(body).encode()
        timeout = aiohttp.ClientTimeout(total=10)
        try:
            async with self._session.request(
                method, self._server + path, params=query, data=data, headers=headers, timeout=timeout
            ) as response:
                await _raise_for_status(response)
                answer: dict[str, Any] = await response.json(content_type=None)
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(0, "Unreachable", str(error) or type(error).__name__) from error


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            raise ApiError(0, "TooLong", "a watch event has no end")
        for line in filter(None, lines):
            yield line


def _event(line: bytes) -> WatchEvent:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise ApiError(0, "BadEvent", str(error)) from error
    if event["type"] == "ERROR":
        status = event["object"]
        raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
    return WatchEvent(event["type"], event["object"])


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text(errors="replace")
    try:
        status = json.loads(text)
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    raise ApiError(response.status, status.get("reason", response.reason or ""), status.get("message", text[:200]))
