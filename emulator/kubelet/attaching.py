"""Clients that are attached to a container: a visit at its outermost process, whichever kubelet has started that."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

from aiohttp import web

from emulator.kubelet.channels import SUCCESS, Channel, first_of, hear, send, send_status
from emulator.kubelet.doors import knock
from emulator.kubelet.spawning import ContainerProcess
from emulator.kubelet.visitors import CLOSE, HEAD, LONGEST_FRAME_BYTES, OPEN, RESIZE, SIZE, STDIN, frame

# The one who opens may be waiting for others.
_PATIENCE_S = 30.0
_CHUNK_BYTES = 32 * 1024


class Visit:
    """A connection with the outermost process of a container. What it says nobody hears any more when it has ended."""

    def __init__(self, process: ContainerProcess) -> None:
        """Raises OSError."""
        self._socket = knock(process.door)
        self._received = b""

    async def begin(self, *, speaks: bool) -> bool:
        """Say whether we are going to speak; return whether we have been let in."""
        await self._say(OPEN, b"\1" if speaks else b"\0")
        try:
            return await asyncio.wait_for(self.read(), _PATIENCE_S) is not None
        except TimeoutError:
            return False

    async def read(self) -> tuple[int, bytes] | None:
        """Return the channel of what the container says next, and what it says; None when nothing more comes."""
        head = await self._exactly(HEAD.size)
        if head is None:
            return None
        channel, length = HEAD.unpack(head)
        content = await self._exactly(min(length, LONGEST_FRAME_BYTES))
        return None if content is None else (channel, content)

    async def write(self, content: bytes) -> None:
        """Say something to the container; wait until there is room for it."""
        for start in range(0, len(content), _CHUNK_BYTES):
            await self._say(STDIN, content[start : start + _CHUNK_BYTES])

    async def end_input(self) -> None:
        """Say that nothing more is going to be said."""
        await self._say(CLOSE)

    async def resize(self, columns: int, rows: int) -> None:
        """Tell how large the client's terminal is. Raises ValueError for sizes that none has."""
        if not (0 <= columns < 2**16 and 0 <= rows < 2**16):
            raise ValueError(f"{columns} by {rows} is no size of a terminal")
        await self._say(RESIZE, SIZE.pack(columns, rows))

    def close(self) -> None:
        self._socket.close()

    async def _say(self, kind: int, content: bytes = b"") -> None:
        with suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._socket, frame(kind, content))

    async def _exactly(self, length: int) -> bytes | None:
        while len(self._received) < length:
            try:
                chunk = await asyncio.get_running_loop().sock_recv(self._socket, LONGEST_FRAME_BYTES)
            except OSError:
                # The other side has ended without hearing all that we said.
                return None
            if not chunk:
                return None
            self._received += chunk
        found, self._received = self._received[:length], self._received[length:]
        return found


async def attach(
    socket: web.WebSocketResponse, process: ContainerProcess, wanted: Collection[Channel], *, speaks: bool
) -> bool:
    """Connect a client with a container until one of the two ends; return whether the container was there.

    Of its output, only the *wanted* streams are sent."""
    try:
        visit = Visit(process)
    except OSError:
        return False
    try:
        if not await visit.begin(speaks=speaks):
            return False
        # As Kubernetes does, so that a client knows at once that it is connected.
        await send(socket, Channel.STDOUT, b"")
        await first_of(_tell(socket, visit, wanted), hear(socket, visit))
        return True
    finally:
        visit.close()


async def _tell(socket: web.WebSocketResponse, visit: Visit, wanted: Collection[Channel]) -> None:
    while said := await visit.read():
        channel, content = said
        if channel in wanted:
            await send(socket, Channel(channel), content)
    await send_status(socket, SUCCESS)
