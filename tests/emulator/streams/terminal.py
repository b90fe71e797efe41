"""A program at a terminal, as a person sits there."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kubelet.cluster import PATIENCE_S


class Seat:
    """What is typed at the terminal and seen there; *process* is what runs at it."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]) -> None:
        self.process, self._terminal = process, terminal
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, text: str) -> str:
        """Wait until *text* has been shown; return what has come up to there, and forget it."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert self._look(end - time.monotonic()), f"{text!r} is not in {self.seen!r}"
        shown, _, self.seen = self.seen.partition(text)
        return shown + text

    def to_the_end(self) -> tuple[str, int]:
        """What is shown until the program has ended, and its exit code."""
        end = time.monotonic() + PATIENCE_S
        while self._look(end - time.monotonic()):
            continue
        return self.seen, self.process.wait(max(1, end - time.monotonic()))

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _look(self, seconds: float) -> bool:
        if not select.select([self._terminal], [], [], max(0, seconds))[0]:
            return False
        with suppress(OSError):
            if chunk := os.read(self._terminal, 65536):
                self.seen += chunk.decode(errors="replace")
                return True
        return False


@contextmanager
def seated(kubectl: Kubectl, *arguments: str, columns: int = 91, rows: int = 17) -> Iterator[Seat]:
    """A kubectl at a terminal of its own."""
    terminal, inner = os.openpty()
    process = subprocess.Popen(
        [kubectl.program, *arguments],
        env=kubectl.environment,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(inner)
    seat = Seat(terminal, process)
    seat.resize(columns, rows)
    with process:
        try:
            yield seat
        finally:
            process.kill()
            os.close(terminal)
