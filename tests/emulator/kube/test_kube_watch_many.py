"""Hundreds of watchers at once: each sees every change, in order, whatever the others do."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.emulator.kube.serving import TOKEN, ServerThread

WATCHERS = 200
CHANGES = 40
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Crowd:
    """Watchers of the config maps of a namespace, and somebody who changes them."""

    def __init__(self, url: str, namespace: str, session: aiohttp.ClientSession) -> None:
        self.path, self.session = f"{url}/api/v1/namespaces/{namespace}/configmaps", session

    async def version(self) -> str:
        async with self.session.get(self.path) as answer:
            return str((await answer.json())["metadata"]["resourceVersion"])

    async def watch(self, version: str, last: str, query: str = "") -> list[tuple[str, int]]:
        """Return the types and versions of all events up to the one of the object called *last*."""
        seen: list[tuple[str, int]] = []
        options = f"watch=1&resourceVersion={version}&timeoutSeconds=60{query}"
        async with self.session.get(f"{self.path}?{options}") as answer:
            async for line in answer.content:
                event = json.loads(line)
                meta = event["object"]["metadata"]
                seen.append((event["type"], int(meta["resourceVersion"])))
                if meta["name"] == last:
                    return seen
        raise AssertionError(f"the watch ended after {len(seen)} events")

    async def create(self, name: str, **labels: str) -> None:
        body = {"metadata": {"name": name, "labels": labels}}
        async with self.session.post(self.path, json=body) as answer:
            assert answer.status == 201

    async def change(self) -> None:
        """Create, change and delete things of two kinds, and then the last one."""
        for number in range(CHANGES // 4):
            for app in ("x", "y"):
                await self.create(f"{app}{number}", app=app)
                async with self.session.delete(f"{self.path}/{app}{number}") as answer:
                    assert answer.status == 200
        await self.create("last", app="x")


async def _watched(url: str, namespace: str) -> tuple[list[Any], list[Any]]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:
        crowd = Crowd(url, namespace, session)
        version = await crowd.version()
        everything = [asyncio.ensure_future(crowd.watch(version, "last")) for _ in range(WATCHERS // 2)]
        selected = [
            asyncio.ensure_future(crowd.watch(version, "last", "&labelSelector=app%3Dx")) for _ in range(WATCHERS // 2)
        ]
        await crowd.change()
        return await asyncio.gather(*everything), await asyncio.gather(*selected)


def test_every_watcher_sees_every_change_in_order(server: ServerThread, namespace: str) -> None:
    lazy = _lazy_watcher(server, namespace)
    try:
        everything, selected = asyncio.run(_watched(server.url, namespace))
    finally:
        lazy.close()
    assert len(everything[0]) == CHANGES + 1
    assert everything[0] == sorted(everything[0], key=lambda event: event[1])
    assert [kind for kind, _version in everything[0][:4]] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    assert all(seen == everything[0] for seen in everything)
    assert all(seen == selected[0] for seen in selected)
    assert len(selected[0]) == CHANGES // 2 + 1


def test_a_watch_goes_on_where_another_was_cut_off(server: ServerThread, namespace: str) -> None:
    async def watched() -> tuple[list[Any], list[Any]]:
        async with aiohttp.ClientSession(headers=HEADERS) as session:
            crowd = Crowd(server.url, namespace, session)
            version = await crowd.version()
            await crowd.change()
            whole = await crowd.watch(version, "last")
            middle = whole[len(whole) // 2][1]
            return whole, await crowd.watch(str(middle), "last")

    whole, rest = asyncio.run(watched())
    assert rest == whole[len(whole) // 2 + 1 :]


def _lazy_watcher(server: ServerThread, namespace: str) -> socket.socket:
    """A watcher that asks and never reads."""
    address = urlsplit(server.url)
    lazy = socket.create_connection((address.hostname, address.port))
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    path = f"/api/v1/namespaces/{namespace}/configmaps?watch=1"
    lazy.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return lazy
