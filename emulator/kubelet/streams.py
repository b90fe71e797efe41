"""What the API server opens a WebSocket to the kubelet for: commands in containers, their output, their pods' ports."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from emulator.kubelet.attaching import attach
from emulator.kubelet.channels import V4, V5, Channel, attend, failure, send, send_status
from emulator.kubelet.executing import Place, place_of, start
from emulator.kubelet.forwarding import TUNNEL, forward_channels, forward_tunnel
from emulator.kubelet.pod import Pod
from emulator.kubelet.process import Runtime
from emulator.kubelet.spawning import ContainerProcess, StartError
from emulator.kubelet.visitors import MOST_VISITORS

# The command of an exec is part of the address.
LONGEST_REQUEST_LINE_BYTES = 128 * 1024
# A client that has not answered for so long is gone.
_HEARTBEAT_S = 30.0
_OUTPUTS = {"output": Channel.STDOUT, "error": Channel.STDERR}


class KnownPods(Protocol):
    """Where pods are found by namespace and name."""

    def find(self, namespace: str, name: str) -> Pod | None: ...


def add_streams(app: web.Application, pods: KnownPods, runtime: Runtime) -> None:
    """Serve `/exec`, `/attach` and `/portForward` of *pods*."""

    def found(request: web.Request) -> tuple[Pod | None, Place | None]:
        names = request.match_info
        pod = pods.find(names["namespace"], names["pod"])
        return pod, place_of(pod.container(names["container"]) if pod and "container" in names else None, runtime)

    async def execute(request: web.Request) -> web.StreamResponse:
        socket = await _opened(request, V5, V4)
        _, place = found(request)
        if place is None:
            await send_status(socket, _no_container(request))
        else:
            await _execute(socket, place, request)
        await socket.close()
        return socket

    async def attach_to(request: web.Request) -> web.StreamResponse:
        socket = await _opened(request, V5, V4)
        pod, _ = found(request)
        container = pod.container(request.match_info["container"]) if pod else None
        await _attach(socket, container.process if container else None, request)
        await socket.close()
        return socket

    async def forward(request: web.Request) -> web.StreamResponse:
        socket = await _opened(request, TUNNEL, V4)
        pod, _ = found(request)
        address = pod.record().pod_ip if pod else ""
        if socket.ws_protocol == TUNNEL:
            await forward_tunnel(socket, address)
        else:
            await forward_channels(socket, address, [int(port) for port in request.query.getall("port", [])])
        await socket.close()
        return socket

    app.router.add_get("/exec/{namespace}/{pod}/{container}", execute)
    app.router.add_get("/attach/{namespace}/{pod}/{container}", attach_to)
    app.router.add_get("/portForward/{namespace}/{pod}", forward)


async def _opened(request: web.Request, *protocols: str) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=protocols, heartbeat=_HEARTBEAT_S, compress=False)
    await socket.prepare(request)
    return socket


def _no_container(request: web.Request) -> dict[str, object]:
    return failure(f'container not found ("{request.match_info["container"]}")')


def _crowded(request: web.Request) -> dict[str, object]:
    name = request.match_info["container"]
    return failure(f'container "{name}" has {MOST_VISITORS} clients attached, and takes no more')


def _wanted(request: web.Request) -> list[Channel]:
    return [channel for name, channel in _OUTPUTS.items() if name in request.query]


async def _attach(socket: web.WebSocketResponse, process: ContainerProcess | None, request: web.Request) -> None:
    if process is None or not process.alive:
        await send_status(socket, _no_container(request))
    elif not await attach(socket, process, _wanted(request), speaks="input" in request.query):
        # It keeps its door shut, or has ended at this moment.
        await send_status(socket, _crowded(request) if process.alive else _no_container(request))


async def _execute(socket: web.WebSocketResponse, place: Place, request: web.Request) -> None:
    asked, command = request.query, request.query.getall("command", [])
    try:
        session = await start(place, command, stdin="input" in asked, tty="tty" in asked)
    except StartError as error:
        await send_status(socket, failure(f"error executing command in container: {error}"))
        return
    try:
        # As Kubernetes does, so that a client knows at once that it is connected.
        await send(socket, Channel.STDOUT, b"")
        await attend(socket, session, _wanted(request))
    finally:
        await session.close()
