"""The standard streams of a container as its outermost process makes them: imports next to nothing."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from emulator.kubelet.watch import WRITES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.kubelet.watch import Watch

# What was said to a container that does not read it; who says more has to wait.
MOST_UNREAD_BYTES = 64 * 1024


class Stdio:
    """*inner* are the ends that the container gets, *outputs* ours of what it says, with the names of the streams,
    *typed* ours of what it is told (None: nobody tells it anything), *terminal* ours of the one that all three are, if
    they are."""

    def __init__(self, *, stdin: bool, tty: bool, user: tuple[int, int] | None) -> None:
        self.terminal: int | None = None
        self.typed: int | None = None
        if tty:
            self._be_a_terminal(stdin=stdin)
        else:
            self._be_pipes(stdin=stdin)
        # /dev/stdout and its like are opened by path, by whoever owns the pipe; /dev/null is nobody's.
        for fd in self.inner if stdin or tty else self.inner[1:]:
            if user:
                os.fchown(fd, *user)

    def _be_a_terminal(self, *, stdin: bool) -> None:
        self.terminal, inner = os.openpty()
        os.set_blocking(self.terminal, False)
        self.inner = (inner, inner, inner)
        self.outputs = {self.terminal: "stdout"}
        self.typed = os.dup(self.terminal) if stdin else None

    def _be_pipes(self, *, stdin: bool) -> None:
        (output, said), (error, complained) = pipe(), pipe()
        if stdin:
            heard, self.typed = pipe()
            os.set_blocking(self.typed, False)
        else:
            heard = os.open(os.devnull, os.O_RDONLY)
        self.inner = (heard, said, complained)
        self.outputs = {output: "stdout", error: "stderr"}

    def give_away(self) -> None:
        """The container has its ends. That of a terminal stays open, or it would be gone with who has it open now."""
        for fd in self.inner if self.terminal is None else ():
            os.close(fd)


class Input:
    """What a container is told, as fast as it reads. `when_read` is called when it has read."""

    def __init__(self, fd: int, watch: Watch) -> None:
        self._fd: int | None = fd
        self._watch = watch
        self._unread = b""
        self._last = False
        self.when_read: Callable[[], None] = _nothing

    @property
    def full(self) -> bool:
        return len(self._unread) >= MOST_UNREAD_BYTES

    def feed(self, content: bytes) -> None:
        """Add to what the container is to read; nothing where that has an end."""
        if self._fd is not None and not self._last:
            self._unread += content
            self._write()

    def finish(self) -> None:
        """Nothing comes after what has been said up to now."""
        self._last = True
        self._write()

    def _ready(self, _fd: int, _events: int) -> None:
        self._write()
        self.when_read()

    def _write(self) -> None:
        if self._fd is None:
            return
        try:
            while self._unread:
                self._unread = self._unread[os.write(self._fd, self._unread) :]
        except BlockingIOError:
            self._watch.set(self._fd, self._ready, WRITES)
            return
        except OSError:
            # Nobody has it open any more.
            self._close(self._fd)
            return
        self._watch.forget(self._fd)
        if self._last:
            self._close(self._fd)

    def _close(self, fd: int) -> None:
        self._watch.forget(fd)
        os.close(fd)
        self._fd, self._unread = None, b""


def _nothing() -> None:
    """Nobody waits for room."""


def resize(terminal: int, columns: int, rows: int) -> None:
    """Tell a terminal how large it is, and by a signal those who use it."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def take_terminal() -> None:
    """Make standard input the terminal that controls this session, whose first process this is."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def pipe() -> tuple[int, int]:
    """A pipe that no child inherits: the end to read, and the one to write."""
    return os.pipe2(os.O_CLOEXEC)
