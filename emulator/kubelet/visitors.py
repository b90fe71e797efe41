"""Who is attached to a container, as its outermost process sees them: imports next to nothing.

They come through a socket (`doors`). Both sides speak in frames: a byte that tells what it is (the numbers of
Kubernetes' channels, and OPEN), four bytes with the length, the content.

First a visitor says OPEN, with a byte that tells whether it is going to speak (STDIN, of which CLOSE is the end, and
RESIZE: columns and rows in two bytes each). It hears an empty frame, then all that the container says from then on.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time

from emulator.kubelet.stdio import resize
from emulator.kubelet.watch import READS, WRITES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from emulator.kubelet.stdio import Input
    from emulator.kubelet.watch import Watch

HEAD, SIZE, CREDENTIALS = struct.Struct(">BI"), struct.Struct(">HH"), struct.Struct("3i")
STDIN, STDOUT, STDERR, RESIZE, OPEN, CLOSE = 0, 1, 2, 4, 16, 255
LONGEST_FRAME_BYTES = 64 * 1024
MOST_VISITORS = 16
# For so long the container's output waits for a visitor that does not read; after that it misses what comes.
PATIENCE_S = 1.0
_CHANNELS = {"stdout": STDOUT, "stderr": STDERR}
_MISSED = "\r\n[{} bytes were said faster than they were read here; they are in the log]\r\n"


def frame(kind: int, content: bytes = b"") -> bytes:
    """One frame."""
    return HEAD.pack(kind, len(content)) + content


class _Visitor:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.speaks = False
        self.received = b""
        self.unsent = b""
        self.missed = 0

    def frames(self) -> list[tuple[int, bytes]]:
        """What has been received whole. Raises ValueError."""
        found = []
        while len(self.received) >= HEAD.size:
            kind, length = HEAD.unpack_from(self.received)
            if length > LONGEST_FRAME_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            end = HEAD.size + length
            if len(self.received) < end:
                break
            found.append((kind, self.received[HEAD.size : end]))
            self.received = self.received[end:]
        return found


class Visitors:
    """All of them. What they say is the container's *given* input (None: it has none). With *once*, that ends when one
    who spoke has left; not so a terminal, which others may take over."""

    def __init__(self, listener: int, watch: Watch, *, given: Input | None, terminal: int | None, once: bool) -> None:
        self._door = socket.socket(fileno=listener)
        self._door.setblocking(False)
        self._watch, self._given, self._terminal = watch, given, terminal
        self._ends_with_first = once and terminal is None
        self._here: dict[int, _Visitor] = {}
        watch.set(listener, self._admit)
        if given:
            given.when_read = self._listen_to_all

    def tell(self, stream: str, chunk: bytes) -> None:
        """Pass on what the container says."""
        for fd, visitor in list(self._here.items()):
            if visitor.unsent:
                visitor.missed += len(chunk)
            else:
                self._send(fd, visitor, frame(_CHANNELS[stream], chunk))

    def leave(self) -> None:
        """Part from all, when everything has been said."""
        for fd, visitor in list(self._here.items()):
            if visitor.unsent:
                self._send(fd, visitor, visitor.unsent)
            self._own_up(fd, visitor)
            self._lose(fd)

    def _listen_to_all(self) -> None:
        """Or to none, when the container has not read what it was told."""
        for fd, visitor in self._here.items():
            self._attend(fd, visitor)

    def _admit(self, _fd: int, _events: int) -> None:
        try:
            connection, _ = self._door.accept()
        except OSError:
            return
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        if len(self._here) >= MOST_VISITORS or CREDENTIALS.unpack(credentials)[1] != os.geteuid():
            connection.close()
            return
        connection.setblocking(False)
        fd, visitor = connection.fileno(), _Visitor(connection)
        self._here[fd] = visitor
        self._send(fd, visitor, frame(STDOUT))

    def _hear(self, fd: int, events: int) -> None:
        visitor = self._here[fd]
        if events & WRITES:
            self._send(fd, visitor, visitor.unsent, patience_s=0)
            self._own_up(fd, visitor)
        if events & READS and not self._is_full:
            self._listen(fd, visitor)
        elif events & (select.EPOLLHUP | select.EPOLLERR):
            self._lose(fd)

    def _listen(self, fd: int, visitor: _Visitor) -> None:
        try:
            chunk = visitor.connection.recv(LONGEST_FRAME_BYTES)
            visitor.received += chunk
            frames = visitor.frames()
        except BlockingIOError:
            return
        except (OSError, ValueError):
            chunk, frames = b"", []
        for kind, content in frames:
            self._do(fd, visitor, kind, content)
        if not chunk:
            self._lose(fd)
        self._listen_to_all()

    def _do(self, fd: int, visitor: _Visitor, kind: int, content: bytes) -> None:
        if kind == OPEN:
            visitor.speaks = content == b"\1"
        elif kind == STDIN and visitor.speaks and self._given:
            self._given.feed(content)
        elif kind == RESIZE and self._terminal is not None and len(content) == SIZE.size:
            resize(self._terminal, *SIZE.unpack(content))
        elif kind == CLOSE and visitor.speaks and self._given:
            if self._ends_with_first:
                self._given.finish()
            else:
                # As containerd does: who has no more to say has nothing more to hear.
                self._lose(fd)

    @property
    def _is_full(self) -> bool:
        return self._given is not None and self._given.full

    def _attend(self, fd: int, visitor: _Visitor) -> None:
        self._watch.set(fd, self._hear, (0 if self._is_full else READS) | (WRITES if visitor.unsent else 0))

    def _send(self, fd: int, visitor: _Visitor, content: bytes, *, patience_s: float = PATIENCE_S) -> None:
        try:
            visitor.unsent = _unsent(visitor.connection, content, patience_s)
        except OSError:
            self._lose(fd)
            return
        self._attend(fd, visitor)

    def _own_up(self, fd: int, visitor: _Visitor) -> None:
        """Say how much a visitor has missed that listens again."""
        if visitor.missed and not visitor.unsent and fd in self._here:
            note = _MISSED.format(visitor.missed).encode()
            visitor.missed = 0
            self._send(fd, visitor, frame(STDERR if self._terminal is None else STDOUT, note))

    def _lose(self, fd: int) -> None:
        visitor = self._here.pop(fd, None)
        if visitor is None:
            return
        self._watch.forget(fd)
        visitor.connection.close()
        if visitor.speaks and self._given and self._ends_with_first:
            self._given.finish()


def _unsent(connection: socket.socket, content: bytes, patience_s: float) -> bytes:
    """Send; return what the other side did not make room for in time."""
    end, rest = time.monotonic() + patience_s, memoryview(content)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
        except BlockingIOError:
            if not _writable(connection, end - time.monotonic()):
                break
    return bytes(rest)


def _writable(connection: socket.socket, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(connection, select.POLLOUT)
    return seconds > 0 and bool(waiting.poll(seconds * 1000))
