"""The streams of a command over one WebSocket: the first byte of a message is the number of its stream.

Subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io` (which can end the input):
https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Coroutine, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from emulator.kubelet.executing import Session

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
SUCCESS: dict[str, Any] = {"metadata": {}, "status": "Success"}
_CHUNK_BYTES = 32 * 1024
# What a command has left behind may hold its output open for ever.
_DRAIN_S = 0.3


class Channel(IntEnum):
    STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
    CLOSE = 255


def exit_status(code: int) -> dict[str, Any]:
    """How a command ended, as Kubernetes tells it."""
    if code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure(why: str) -> dict[str, object]:
    """That a command could not be run."""
    message = f"Internal error occurred: {why}"
    details = {"causes": [{"message": why}]}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": message,
        "details": details,
        "code": 500,
    }


async def send(socket: web.WebSocketResponse, channel: Channel, content: bytes) -> None:
    """Send a message of one stream; nothing where the other side has gone."""
    with suppress(ConnectionError):
        await socket.send_bytes(bytes([channel]) + content)


async def send_status(socket: web.WebSocketResponse, status: Mapping[str, Any]) -> None:
    """Say how it ended, which is the last thing that is said."""
    await send(socket, Channel.ERROR, json.dumps(status).encode())


async def first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Do several things until the first of them is done; the others are given up."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def attend(socket: web.WebSocketResponse, session: Session, wanted: Collection[Channel]) -> None:
    """Connect a command with its client until one of the two ends; tell the client how the command ended.

    Of its output, only the *wanted* streams are sent."""
    ended = asyncio.ensure_future(session.wait())

    async def tell() -> None:
        streams = ((Channel.STDOUT, session.output), (Channel.STDERR, session.error))
        told = (
            _tell(socket if channel in wanted else None, channel, stream, ended)
            for channel, stream in streams
            if stream
        )
        await asyncio.gather(*told)
        await send_status(socket, exit_status(await asyncio.shield(ended)))

    try:
        await first_of(tell(), hear(socket, session))
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


async def _tell(
    socket: web.WebSocketResponse | None, channel: Channel, stream: asyncio.StreamReader, ended: asyncio.Future[int]
) -> None:
    while chunk := await _read(stream, ended):
        if socket is not None:
            await send(socket, channel, chunk)


async def _read(stream: asyncio.StreamReader, ended: asyncio.Future[int]) -> bytes:
    """Read what there is; nothing at the end, or when the command has ended and nothing more comes."""
    reading = asyncio.ensure_future(stream.read(_CHUNK_BYTES))
    both: set[asyncio.Future[Any]] = {reading, ended}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return await asyncio.wait_for(reading, _DRAIN_S if ended.done() else None)
    except (TimeoutError, OSError):
        # A terminal whose last process has gone cannot be read.
        return b""
    finally:
        reading.cancel()


class Listener(Protocol):
    """What a client speaks to."""

    async def write(self, content: bytes) -> None: ...

    async def end_input(self) -> None: ...

    async def resize(self, columns: int, rows: int) -> None:
        """Raises ValueError."""
        ...


async def hear(socket: web.WebSocketResponse, listener: Listener) -> None:
    """Pass on what the client sends, until it leaves."""
    async for message in socket:
        content = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        if not isinstance(content, bytes) or not content:
            continue
        channel, content = content[0], content[1:]
        if channel == Channel.STDIN:
            await listener.write(content)
        elif channel == Channel.RESIZE:
            await _resize(listener, content)
        elif channel == Channel.CLOSE and content == bytes([Channel.STDIN]) and socket.ws_protocol == V5:
            await listener.end_input()


async def _resize(listener: Listener, content: bytes) -> None:
    # A client that sends nonsense has the size that it had.
    with suppress(ValueError, KeyError, TypeError):
        size = json.loads(content)
        await listener.resize(int(size["Width"]), int(size["Height"]))
