"""Processes of a build: watched while they run, and ended with everything they started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from emulator.engine.errors import BuildFailed
from emulator.engine.limits import Limits, size_of
from emulator.engine.reasons import reason_of

_LINES_KEPT = 2000
_LONGEST_LINE = 1 << 16
_LOOK_EVERY_S = 0.5
# Looking costs a tenth of a second with the 30,000 files of an environment.
_MEASURE_EVERY = 6
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
# As a shell, uv and setuptools say it of their own children.
_SAYS_KILLED = re.compile(r"\bKilled\b|\bSIGKILL\b|exit code -9\b")
_OUT_OF_MEMORY = (
    "A process of the build was killed from outside. That happens when a build needs more memory than it may use: "
    "ask for fewer or smaller packages, or for a higher limit."
)


def run(
    command: Sequence[str], *, folder: Path, environ: Mapping[str, str], limits: Limits, measured: Path
) -> Iterator[str]:
    """Run *command* in *folder*; its output, line by line. Raises BuildFailed when it fails or exceeds a limit.

    *measured* is the folder whose size is limited. When the iterator is closed, or an exception passes through it,
    the command and its whole process group are gone.
    """
    last: deque[str] = deque(maxlen=_LINES_KEPT)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        watch = _Watch(process, limits, measured)
        try:
            assert process.stdout is not None
            while line := process.stdout.readline(_LONGEST_LINE):
                last.append(line)
                yield line
            process.wait()
        finally:
            watch.end()
    if reason := watch.reason or limits.too_large(size_of(measured)):
        raise BuildFailed(reason)
    if process.returncode:
        raise BuildFailed(_why(process.returncode, list(last)))


def _why(code: int, lines: Sequence[str]) -> str:
    reason = reason_of(lines) if lines else f"exit code {code}"
    killed = code in _KILLED or _SAYS_KILLED.search(reason)
    return f"{_OUT_OF_MEMORY} ({reason})" if killed else reason


class _Watch:
    """Kills a process group that exceeds a limit, or whose first process has ended. `reason` is which limit it was."""

    def __init__(self, process: subprocess.Popen[str], limits: Limits, measured: Path) -> None:
        self.reason = ""
        self._process, self._limits, self._measured = process, limits, measured
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._kill()
        self._thread.join()

    def _look(self) -> None:
        rounds = 0
        while not self._over.wait(_LOOK_EVERY_S):
            rounds += 1
            self.reason = self._limits.too_late()
            if not self.reason and rounds % _MEASURE_EVERY == 0:
                self.reason = self._limits.too_large(size_of(self._measured))
            # What a command leaves behind would keep its output open, and us waiting.
            if self.reason or self._process.poll() is not None:
                self._kill()
                return

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Within this block, SIGTERM ends the process as an exception does: whatever is under way is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        # Once: a second one must not interrupt the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
