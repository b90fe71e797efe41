"""Connections to a pod (exec, attach, port-forward): checked here, and passed on to the kubelet of its node.

They are WebSockets, as with kubectl since 1.31 and with the libraries; of SPDY there is only what comes in a tunnel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import MultiMapping

from emulator.kube.cluster import Cluster
from emulator.kube.errors import bad_request, internal_error
from emulator.kube.kinds import PODS
from emulator.kube.objects import dig, name_of
from emulator.kube.pod_logs import container_of, kubelet_url
from emulator.kube.reads import truth
from emulator.kube.routes import Target

COMMAND_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
FORWARD_PROTOCOLS = ("SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io")
MOST_PORTS = 128
# A client that has not answered for so long is gone.
HEARTBEAT_S = 30.0


@dataclass(frozen=True, slots=True)
class StreamSource:
    """What to ask a kubelet for, and in which subprotocols."""

    url: str
    parameters: list[tuple[str, str]]
    protocols: tuple[str, ...]


def source_of(cluster: Cluster, target: Target, query: MultiMapping[str]) -> StreamSource:
    """Return where the kubelet serves a stream. Raises ApiError for what makes no sense."""
    pod = cluster.existing(PODS, target.namespace, target.name)
    forwards = target.part == "portforward"
    container = "" if forwards else container_of(pod, query.get("container", ""))
    node = dig(pod, "spec", "nodeName")
    if not node:
        raise bad_request(f"pod {name_of(pod)} does not have a host assigned")
    base, place = kubelet_url(cluster, node), f"{target.namespace}/{target.name}"
    if forwards:
        return StreamSource(f"{base}/portForward/{place}", list(_ports(query)), FORWARD_PROTOCOLS)
    parameters = list(_streams(query))
    if target.part == "exec":
        command = query.getall("command", [])
        if not command:
            raise bad_request("you must specify at least 1 command for the container")
        parameters += [("command", each) for each in command]
    return StreamSource(f"{base}/{target.part}/{place}/{container}", parameters, COMMAND_PROTOCOLS)


def _streams(query: MultiMapping[str]) -> Iterator[tuple[str, str]]:
    """The streams that are wanted, by the kubelet's names for them."""
    names = {"stdin": "input", "stdout": "output", "stderr": "error"}
    wanted = [name for name in names if truth(query.get(name))]
    if not wanted:
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    yield from ((names[name], "1") for name in wanted)
    if truth(query.get("tty")):
        yield "tty", "1"


def _ports(query: MultiMapping[str]) -> Iterator[tuple[str, str]]:
    listed = [port for each in query.getall("ports", []) for port in each.split(",")]
    if len(listed) > MOST_PORTS:
        raise bad_request(f"no more than {MOST_PORTS} ports at once")
    for port in listed:
        if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
            raise bad_request(f"port {port!r} must be between 1 and 65535")
        yield "port", port


async def pass_on_stream(
    request: web.Request, cluster: Cluster, kubelets: aiohttp.ClientSession, target: Target
) -> web.StreamResponse:
    """Connect the client with the kubelet until one of the two leaves."""
    source = source_of(cluster, target, request.query)
    protocol = _protocol(request, source.protocols)
    try:
        upstream = await kubelets.ws_connect(
            source.url, params=source.parameters, protocols=(protocol,), max_msg_size=0
        )
    except (aiohttp.ClientError, TimeoutError) as error:
        raise internal_error(f"error dialing backend: {error}") from error
    async with upstream:
        socket = web.WebSocketResponse(protocols=(protocol,), heartbeat=HEARTBEAT_S, compress=False)
        await socket.prepare(request)
        await _until_one_ends(socket, upstream)
        await socket.close()
    return socket


def _protocol(request: web.Request, served: tuple[str, ...]) -> str:
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade != "websocket":
        only = "only WebSockets are served, which kubectl has spoken since 1.31"
        raise bad_request(f"unable to upgrade to {upgrade}: {only}" if upgrade else "Upgrade request required")
    offered = [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    chosen = next((each for each in offered if each in served), None)
    if chosen is None:
        raise bad_request(f"unable to upgrade: the subprotocols are {', '.join(served)}")
    return chosen


async def _until_one_ends(socket: web.WebSocketResponse, upstream: aiohttp.ClientWebSocketResponse) -> None:
    ways = [asyncio.ensure_future(_pump(socket, upstream)), asyncio.ensure_future(_pump(upstream, socket))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: _Socket, sink: _Socket) -> None:
    async for message in source:
        data = message.data.encode() if message.type is aiohttp.WSMsgType.TEXT else message.data
        if isinstance(data, bytes):
            await sink.send_bytes(data)
