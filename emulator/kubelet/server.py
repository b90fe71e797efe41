"""The kubelet's own HTTP endpoint: health for everyone, logs for who has the token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from aiohttp import web

from emulator.kubelet.logs import LogOptions, read_log
from emulator.kubelet.pod import Pod
from emulator.kubelet.states import Waiting
from emulator.kubelet.sync import Pods

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(pods: Pods, *, token: str, ready: Callable[[], bool], now: Callable[[], datetime]) -> web.Application:
    """Return the endpoint for *pods*; everything but `/healthz` needs *token*. *ready* is what health tells."""

    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if request.path != "/healthz" and not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise web.HTTPUnauthorized(text="Unauthorized")
        return await handler(request)

    async def health(_: web.Request) -> web.Response:
        if ready():
            return web.Response(text="ok")
        return web.Response(text="not connected yet", status=503)

    async def logs(request: web.Request) -> web.StreamResponse:
        pod = pods.find(request.match_info["namespace"], request.match_info["pod"])
        if pod is None:
            raise web.HTTPNotFound(text=f'pod "{request.match_info["pod"]}" not found')
        return await _send_log(request, pod, log_options(request.query, now=now()))

    app = web.Application(middlewares=[authenticated])
    app.router.add_get("/healthz", health)
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    return app


def log_options(query: Mapping[str, str], *, now: datetime) -> LogOptions:
    """Read the options of a request. Raises HTTPBadRequest."""
    try:
        since = datetime.fromisoformat(query["sinceTime"]) if query.get("sinceTime") else None
        if query.get("sinceSeconds"):
            since = now - timedelta(seconds=int(query["sinceSeconds"]))
        return LogOptions(
            follow=_truth(query.get("follow")),
            timestamps=_truth(query.get("timestamps")),
            tail_lines=_count(query.get("tailLines")),
            since=since,
            limit_bytes=_count(query.get("limitBytes")),
        )
    except (ValueError, OverflowError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


async def _send_log(request: web.Request, pod: Pod, options: LogOptions) -> web.StreamResponse:
    container, previous = request.match_info["container"], _truth(request.query.get("previous"))
    place = pod.log(container, previous=previous)
    if place is None:
        raise web.HTTPBadRequest(text=_why_not(pod, container, previous=previous))
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    # Whoever reads may leave at any moment, or be killed.
    with suppress(ConnectionResetError):
        async for piece in read_log(place.path, options, place.ended):
            await response.write(piece)
        await response.write_eof()
    return response


def _why_not(pod: Pod, container: str, *, previous: bool) -> str:
    name, record = pod.manifest["metadata"]["name"], pod.record()
    if previous:
        return f'previous terminated container "{container}" in pod "{name}" not found'
    for each in (*record.init, *record.containers):
        if each.name == container and isinstance(each.state, Waiting):
            return f'container "{container}" in pod "{name}" is waiting to start: {each.state.reason}'
    return f'container "{container}" in pod "{name}" is not available'


def _truth(text: str | None) -> bool:
    return (text or "").lower() in ("1", "t", "true")


def _count(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    count = int(text)
    if count < 0:
        raise ValueError(f"{count} is negative")
    return count
