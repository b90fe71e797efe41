"""The calls of the Kubernetes API by which steps become pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

Pod = Mapping[str, Any]

BUILD_LABEL = "cloud-build.id"
MAX_LINE_BYTES = 64 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=30)
# A step may be silent for as long as it likes.
_FOLLOWING = aiohttp.ClientTimeout(total=None, sock_connect=10)


class ClusterError(Exception):
    """The cluster does not answer, or refuses what it should do."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Cluster:
    """Pods of one namespace."""

    def __init__(self, http: aiohttp.ClientSession, *, url: str, token: str, namespace: str) -> None:
        self._http = http
        self._pods = f"{url}/api/v1/namespaces/{namespace}/pods"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def create(self, manifest: Mapping[str, Any]) -> None:
        """Create a pod; one that is there already is fine."""
        await self._ask("POST", self._pods, expect=(201, 409), content=manifest)

    async def pod(self, name: str) -> Pod | None:
        found = await self._ask("GET", f"{self._pods}/{name}", expect=(200, 404))
        return None if found.get("kind") == "Status" else found

    async def remove(self, build_id: str) -> None:
        """Delete all pods of a build at once."""
        query = f"labelSelector={BUILD_LABEL}%3D{build_id}&gracePeriodSeconds=0"
        await self._ask("DELETE", f"{self._pods}?{query}", expect=(200,))

    async def log(self, name: str) -> AsyncIterator[bytes]:
        """The lines of a pod's log from the first one on, until the pod or the connection ends.

        Raises aiohttp.ClientError for a connection that broke; half a line was not yielded then.
        """
        rest = b""
        async for chunk in self._log_chunks(name):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line[:MAX_LINE_BYTES]
            rest = rest[:MAX_LINE_BYTES]
        if rest:
            yield rest

    async def _log_chunks(self, name: str) -> AsyncIterator[bytes]:
        url = f"{self._pods}/{name}/log?follow=true"
        async with self._http.get(url, headers=self._headers, timeout=_FOLLOWING) as answer:
            if answer.status != 200:
                return
            async for chunk in answer.content.iter_any():
                yield chunk

    async def _ask(
        self, method: str, url: str, *, expect: tuple[int, ...], content: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            async with self._http.request(method, url, json=content, headers=self._headers, timeout=_TIMEOUT) as answer:
                body: dict[str, Any] = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ClusterError(f"the cluster does not answer: {error}") from error
        if answer.status not in expect:
            lasting = answer.status in (400, 403, 404, 422)
            raise ClusterError(f"the cluster refuses a step: {body.get('message', answer.status)}", lasting=lasting)
        return body


async def pause() -> None:
    """Between two looks at a pod."""
    await asyncio.sleep(0.15)
