"""Connections to the ports of a pod, over one WebSocket: as channels, two for each port, or as SPDY in a tunnel.

The tunnel is kubectl's since 1.31; in it every connection has two streams of the same request id, one for errors.
https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from emulator.kubelet import spdy
from emulator.kubelet.channels import first_of

TUNNEL = "SPDY/3.1+portforward.k8s.io"
# Connections that are open at once in a tunnel; each has two streams.
MOST_CONNECTIONS = 256
_CHUNK_BYTES = 32 * 1024
_CONNECT_S = 10.0


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _connect(address: str, port: int) -> _Streams:
    if not address:
        raise ConnectionRefusedError("the pod has no address: it does not run")
    return await asyncio.wait_for(asyncio.open_connection(address, port), _CONNECT_S)


def _why(port: int, error: Exception) -> bytes:
    number = getattr(error, "errno", None)
    reason = os.strerror(number) if number else str(error) or type(error).__name__
    return f"error forwarding port {port}: {reason}".encode()


async def _copy(reader: asyncio.StreamReader, send: Callable[[bytes], Awaitable[None]]) -> None:
    """Send what the pod says until it has ended; a connection that breaks has ended."""
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            await send(chunk)


async def forward_channels(socket: web.WebSocketResponse, address: str, ports: Sequence[int]) -> None:
    """Forward one connection to each port: channel 2n has its data, 2n+1 tells why there is none."""
    open_ones = {}
    for index, port in enumerate(ports):
        for channel in (2 * index, 2 * index + 1):
            await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
        try:
            open_ones[2 * index] = await _connect(address, port)
        except (OSError, TimeoutError) as error:
            await socket.send_bytes(bytes([2 * index + 1]) + _why(port, error))
    try:
        await first_of(_tell_all(socket, open_ones), _hear(socket, open_ones))
    finally:
        for _, writer in open_ones.values():
            writer.close()


async def _tell_all(socket: web.WebSocketResponse, open_ones: Mapping[int, _Streams]) -> None:
    async def tell(channel: int, reader: asyncio.StreamReader) -> None:
        await _copy(reader, lambda chunk: socket.send_bytes(bytes([channel]) + chunk))

    await asyncio.gather(*(tell(channel, reader) for channel, (reader, _) in open_ones.items()))


async def _hear(socket: web.WebSocketResponse, open_ones: Mapping[int, _Streams]) -> None:
    async for message in socket:
        if message.type is WSMsgType.BINARY and message.data and message.data[0] in open_ones:
            await _write(open_ones[message.data[0]][1], message.data[1:])


async def _write(writer: asyncio.StreamWriter, content: bytes) -> None:
    with suppress(ConnectionError):
        writer.write(content)
        await writer.drain()


@dataclass(slots=True)
class _Forwarded:
    """One connection in a tunnel: its two streams, and the side of the pod once there is one."""

    port: int
    data: int = 0
    errors: int = 0
    writer: asyncio.StreamWriter | None = None
    task: asyncio.Task[None] | None = None

    @property
    def streams(self) -> tuple[int, int]:
        return self.data, self.errors


async def forward_tunnel(socket: web.WebSocketResponse, address: str) -> None:
    """Forward as many connections as the client opens streams for, until it leaves or says what is no SPDY."""
    await _Tunnel(socket, address).run()


class _Tunnel:
    def __init__(self, socket: web.WebSocketResponse, address: str) -> None:
        self._socket, self._address = socket, address
        self._spdy = spdy.Connection()
        self._by_request: dict[str, _Forwarded] = {}
        self._by_stream: dict[int, _Forwarded] = {}

    async def run(self) -> None:
        try:
            with suppress(spdy.ProtocolError, ConnectionError):
                async for message in self._socket:
                    await self._receive(message.data if message.type is WSMsgType.BINARY else b"")
        finally:
            tasks = [each.task for each in self._by_request.values() if each.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, content: bytes) -> None:
        for event in self._spdy.receive(content):
            await self._handle(event)

    async def _handle(self, event: spdy.Event) -> None:
        match event:
            case spdy.Opened():
                await self._open(event)
            case spdy.Data():
                await self._data(event)
            case spdy.Reset():
                forwarded = self._by_stream.get(event.stream)
                if forwarded and forwarded.task and event.stream == forwarded.data:
                    forwarded.task.cancel()
            case spdy.Ping():
                await self._socket.send_bytes(self._spdy.pong(event.number))

    async def _open(self, event: spdy.Opened) -> None:
        headers = {name.lower(): value for name, value in event.headers.items()}
        forwarded = self._forwarded(headers)
        if forwarded is None or event.stream in self._by_stream:
            await self._socket.send_bytes(self._spdy.reset(event.stream))
            return
        self._by_stream[event.stream] = forwarded
        await self._socket.send_bytes(self._spdy.accept(event.stream))
        if headers["streamtype"] == "error":
            forwarded.errors = event.stream
        else:
            forwarded.data = event.stream
        if all(forwarded.streams):
            await self._begin(headers.get("requestid", ""), forwarded)

    def _forwarded(self, headers: Mapping[str, str]) -> _Forwarded | None:
        """The connection that a new stream belongs to; None for one that belongs to none, or is one too many."""
        request, port, kind = headers.get("requestid", ""), headers.get("port", ""), headers.get("streamtype")
        if kind not in ("data", "error") or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
            return None
        known = self._by_request.get(request)
        if known is not None:
            return known if not (known.data if kind == "data" else known.errors) else None
        if len(self._by_request) >= MOST_CONNECTIONS:
            return None
        return self._by_request.setdefault(request, _Forwarded(int(port)))

    async def _begin(self, request: str, forwarded: _Forwarded) -> None:
        try:
            reader, forwarded.writer = await _connect(self._address, forwarded.port)
        except (OSError, TimeoutError) as error:
            await self._send(forwarded.errors, _why(forwarded.port, error))
            await self._end(request, forwarded)
            return
        forwarded.task = asyncio.ensure_future(self._tell(request, forwarded, reader))

    async def _tell(self, request: str, forwarded: _Forwarded, reader: asyncio.StreamReader) -> None:
        try:
            await _copy(reader, lambda chunk: self._send(forwarded.data, chunk))
        finally:
            await self._end(request, forwarded)

    async def _end(self, request: str, forwarded: _Forwarded) -> None:
        self._by_request.pop(request, None)
        for stream in forwarded.streams:
            self._by_stream.pop(stream, None)
        if forwarded.writer is not None:
            forwarded.writer.close()
        with suppress(ConnectionError):
            for stream in forwarded.streams:
                await self._send(stream, b"", ends=True)

    async def _send(self, stream: int, content: bytes, *, ends: bool = False) -> None:
        await self._socket.send_bytes(self._spdy.data(stream, content, ends=ends))

    async def _data(self, event: spdy.Data) -> None:
        forwarded = self._by_stream.get(event.stream)
        if forwarded is None or forwarded.writer is None or event.stream != forwarded.data:
            return
        await _write(forwarded.writer, event.content)
        if event.ends and forwarded.writer.can_write_eof():
            with suppress(OSError):
                forwarded.writer.write_eof()
