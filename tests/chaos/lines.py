"""A fault line: listens in front of a service, passes everything on, and does to some requests what it is told to.

HTTP/1.1 is passed on byte by byte, one request a connection (`Connection: close` is the only header that is changed),
so that nothing of a client's or a service's own way of speaking is lost. Other protocols are streams of bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from tests.chaos.faults import TCP, Fault, Kind
from tests.chaos.journal import Journal

HOST = "127.0.0.1"
PIECE_BYTES = 65_536
LARGEST_HEAD_BYTES = 65_536
# Of a piece of a stream that is held back: longer than anybody waits for an answer.
SILENT_S = 12.0
# The functions say who they are; a build that clones, or a person, is none of their services' callers.
OURS = b"binderless"
# Builds, and the objects of the bucket in which their logs are.
_OF_CLOUD_BUILD = re.compile(rb"\w+ /(v1/projects/|[^/ ]+/log-)")
_CONNECTION = re.compile(rb"(?im)^(connection|keep-alive):.*\r\n")

Draw = Callable[[int], Fault | None]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Lines:
    """Fault lines in a thread of their own; *fate* draws what happens to the requests of a service."""

    def __init__(self, fate: Callable[[str, int], Fault | None], journal: Journal) -> None:
        self.calm = True
        self.ports: dict[str, int] = {}
        self._fate, self._journal = fate, journal
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def open(self, service: str, target: Callable[[], int]) -> int:
        """Stand in front of *service*, whose port *target* tells as soon as somebody calls; return the own port."""
        line = _Line(service, target, self._draw, self._journal)
        server: asyncio.Server = self._do(asyncio.start_server(line.serve, HOST, 0, limit=LARGEST_HEAD_BYTES))
        self._servers.append(server)
        self.ports[service] = int(server.sockets[0].getsockname()[1])
        return self.ports[service]

    def _draw(self, service: str, number: int) -> Fault | None:
        return None if self.calm else self._fate(service, number)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class _Line:
    def __init__(
        self,
        service: str,
        target: Callable[[], int],
        draw: Callable[[str, int], Fault | None],
        journal: Journal,
    ) -> None:
        self._service, self._target, self._draw, self._journal = service, target, draw, journal
        self._number = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        try:
            if self._service in TCP:
                await self._stream((reader, writer))
            else:
                await self._exchange((reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            # Whoever went, or is not there: the other one sees a connection that breaks.
            _reset(writer)
        except asyncio.CancelledError:
            _reset(writer)
        finally:
            writer.close()

    def _next(self) -> Fault | None:
        self._number += 1
        fault = self._draw(self._service, self._number)
        if fault is not None:
            self._journal.note(fault.kind, self._service)
        return fault

    async def _exchange(self, client: Streams) -> None:
        request = await _request(client[0])
        fault = self._next() if _is_between_functions(self._service, request) else None
        match fault:
            case Fault(Kind.ERROR | Kind.BUSY):
                client[1].write(_refusal(fault))
                await client[1].drain()
            case Fault(Kind.RESET):
                _reset(client[1])
            case Fault(Kind.DROP):
                await _gone(client[0], within_s=fault.seconds)
                _reset(client[1])
            case _:
                await self._forward(request, client, fault)

    async def _forward(self, request: bytes, client: Streams, fault: Fault | None) -> None:
        if fault is not None and fault.kind is Kind.DELAY:
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.kind is Kind.DUPLICATE:
            async with self._connected() as twin:
                twin[1].write(request)
                await twin[1].drain()
                # Its answer comes, and nobody hears it.
                await twin[0].read(PIECE_BYTES)
        async with self._connected() as service:
            service[1].write(request)
            await service[1].drain()
            if fault is not None and fault.kind is Kind.LOST:
                await service[0].read(PIECE_BYTES)
                _reset(client[1])
            elif fault is not None and fault.kind is Kind.TRUNCATED:
                client[1].write(await _half(service[0]))
                await client[1].drain()
            else:
                await _first(_pump(service[0], client[1]), _gone(client[0]))

    async def _stream(self, client: Streams) -> None:
        async with self._connected() as service:
            await _first(self._pieces(client, service), _pump(service[0], client[1]))

    async def _pieces(self, client: Streams, service: Streams) -> None:
        """What the client sends, piece by piece; each may be the last of the connection."""
        while piece := await client[0].read(PIECE_BYTES):
            match self._next():
                case Fault(Kind.DELAY, seconds):
                    await asyncio.sleep(seconds)
                case Fault(Kind.DROP):
                    await asyncio.sleep(SILENT_S)
                    return _reset(client[1])
                case Fault(Kind.RESET):
                    return _reset(client[1])
                case Fault(Kind.LOST):
                    service[1].write(piece)
                    await service[1].drain()
                    return _reset(client[1])
                case Fault(Kind.TRUNCATED):
                    service[1].write(piece[: len(piece) // 2])
                    await service[1].drain()
                    return None
            service[1].write(piece)
            await service[1].drain()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Streams]:
        reader, writer = await asyncio.open_connection(HOST, self._target())
        try:
            yield reader, writer
        finally:
            writer.close()


def _is_between_functions(service: str, request: bytes) -> bool:
    """Whether the functions ask, or are asked; Google's client does not say that it is ours."""
    return service in ("on_build_complete", "cull") or OURS in request.lower() or bool(_OF_CLOUD_BUILD.match(request))


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One whole request, which asks for no other on its connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    if re.search(rb"(?im)^transfer-encoding: *chunked", head):
        body = await reader.readuntil(b"0\r\n\r\n")
    else:
        body = await reader.readexactly(int(length[1]) if length else 0)
    return _CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n" + body


def _refusal(fault: Fault) -> bytes:
    wait = f"Retry-After: {fault.seconds:.0f}\r\n" if fault.kind is Kind.BUSY else ""
    return f"HTTP/1.1 {fault.status} Chaos\r\n{wait}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()


async def _half(service: asyncio.StreamReader) -> bytes:
    """The head and half of the body's first piece; half of the head of an answer that has no body."""
    head = await service.readuntil(b"\r\n\r\n")
    # A service may send its head long before its body.
    body = await service.read(PIECE_BYTES)
    return head + body[: len(body) // 2] if body else head[: len(head) // 2]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()


async def _gone(reader: asyncio.StreamReader, *, within_s: float | None = None) -> None:
    """Return when the other side has ended the connection, or after *within_s*."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while await reader.read(PIECE_BYTES):
                pass


async def _first(*ways: Coroutine[Any, Any, None]) -> None:
    """Until one of *ways* has ended; its errors are raised."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection so that the other side gets a reset, not an end."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
