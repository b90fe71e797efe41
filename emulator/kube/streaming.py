"""Answers that take their time: watches, and logs that are read from a kubelet."""

from __future__ import annotations

import asyncio
import json

import aiohttp
from aiohttp import web

from emulator.kube import tables
from emulator.kube.cluster import Cluster
from emulator.kube.errors import ApiError, internal_error
from emulator.kube.objects import Object
from emulator.kube.pod_logs import source_of
from emulator.kube.reads import ListOptions
from emulator.kube.routes import Target
from emulator.kube.watching import Bell, Event, Watch

# A client that takes nothing for so long is gone, or might as well be.
STALLED_S = 60.0
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}


async def _write(response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(STALLED_S):
            await response.write(data)
    except TimeoutError:
        raise ConnectionResetError("the client does not read") from None


def _line(event: Event) -> bytes:
    return json.dumps({"type": event.type, "object": event.object}).encode() + b"\n"


class Lines:
    """The lines of the newest events, so that one is written once for all of its watchers."""

    def __init__(self, kept: int = 512) -> None:
        self._kept = kept
        self._lines: dict[tuple[str, str, str], bytes] = {}

    def of(self, event: Event) -> bytes:
        """Return an event as a line of JSON. An object of a certain version is always the same."""
        meta = event.object.get("metadata") or {}
        if event.type in ("ERROR", "BOOKMARK") or "uid" not in meta:
            return _line(event)
        key = (event.type, meta["uid"], meta["resourceVersion"])
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _line(event)
            if len(self._lines) > self._kept:
                del self._lines[next(iter(self._lines))]
        return line


async def send_watch(
    request: web.Request,
    cluster: Cluster,
    bell: Bell,
    target: Target,
    options: ListOptions,
    view: tables.View,
    lines: Lines,
) -> web.StreamResponse:
    """Stream the events of a watch, one JSON object a line."""
    watch = Watch(cluster.store, bell, target.resource, target.namespace, options)
    events = watch.events()
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    with_columns = True
    try:
        await response.prepare(request)
        async for event in events:
            if view.kind:
                shown = _shown(event, target, view, cluster=cluster, with_columns=with_columns)
                with_columns = False
                line = _line(Event(event.type, shown))
            else:
                line = lines.of(event)
            await _write(response, line)
        await response.write_eof()
    finally:
        await events.aclose()
    return response


def _shown(event: Event, target: Target, view: tables.View, *, cluster: Cluster, with_columns: bool) -> Object:
    if event.type in ("ERROR", "BOOKMARK"):
        return event.object
    return tables.render(target.resource, event.object, view, now=cluster.now(), with_columns=with_columns)


async def send_log(
    request: web.Request, cluster: Cluster, kubelets: aiohttp.ClientSession, target: Target
) -> web.StreamResponse:
    """Pass a container's log on as the kubelet sends it, until it ends or the client leaves."""
    source = source_of(cluster, target.namespace, target.name, request.query)
    if source is None:
        # As Kubernetes answers for a pod that has no node yet.
        return web.Response(status=204)
    try:
        upstream = await kubelets.get(source.url, params=source.parameters)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise internal_error(f"Get {source.url}: {error}") from error
    async with upstream:
        if upstream.status != 200:
            raise await _refusal(upstream)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                await _write(response, chunk)
        except aiohttp.ClientError:
            # The kubelet went away in the middle. The log so far is sent; the client is not told that it was all.
            _cut_off(request)
            return response
        await response.write_eof()
        return response


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _refusal(upstream: aiohttp.ClientResponse) -> ApiError:
    text = (await upstream.content.read(4096)).decode(errors="replace").strip()
    if upstream.status in REASONS:
        return ApiError(upstream.status, REASONS[upstream.status], text)
    return internal_error(f"the kubelet answered {upstream.status}: {text}")
