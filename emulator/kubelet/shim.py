"""The outermost process of a container: it outlives its kubelet, and a later one takes the container over from it.

    shim SPEC_FD RECORD_FD READY_FD

It starts the command of the specification (JSON, made by `spawning`), writes its output to the log, takes all its
descendants down with it, and appends to the record (lines of JSON, read by `runs`) who runs and how it ended. The
record is locked as long as this process lives. READY_FD is closed when the command runs, or cannot.

SIGUSR1 asks the command to end, SIGHUP kills everything. When the process `end_with` ends, or at SIGTERM, so does the
container, and the record does not say how: a command that was cut short has not succeeded, whatever it exits with.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from emulator.kubelet.descent import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    children,
    heed_signals,
    kill_descendants,
    name_of,
    prctl,
    start_time,
)
from emulator.kubelet.logfile import LogFile
from emulator.kubelet.stdio import Input, Stdio, pipe, take_terminal
from emulator.kubelet.visitors import Visitors
from emulator.kubelet.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK_BYTES = 65536
_LOOK_S = 0.004
# After so many looks a process called bwrap is taken for the command: that may be called so, too.
_LOOKS = 500
_KILLED = 128 + signal.SIGKILL


class Shim:
    """One run of one container."""

    def __init__(self, spec: dict[str, Any], record: int, ready: int) -> None:
        self._spec, self._record, self._ready = spec, record, ready
        self._log = LogFile(spec["log"], limit_bytes=spec["log_limit_bytes"])
        self._watch = Watch()
        self._stdio = Stdio(stdin=spec["stdin"], tty=spec["tty"], user=spec["user"])
        self._visitors = Visitors(
            spec["door"],
            self._watch,
            given=None if self._stdio.typed is None else Input(self._stdio.typed, self._watch),
            terminal=self._stdio.terminal,
            once=spec["stdin_once"],
        )
        # Kept: one that is forgotten is waited for by its destructor, which would take the exit status.
        self._process: subprocess.Popen[bytes] | None = None
        self._child = 0
        self._code: int | None = None
        self._main: int | None = None
        self._running = False
        self._cut_short = False
        self._looks = 0
        # What bubblewrap says of its child: whether there was something to execute, and which process it is.
        self._told = b""
        self._executed = False
        self._root: int | None = None
        # What the process that takes the terminal before the command does has to say, as long as it is there.
        self._goes_before = bool(spec["foreground"])
        self._failed = b""

    def run(self) -> None:
        """Return when nothing of the container is left and all it said is in the log."""
        self._listen()
        if not self._cut_short:
            try:
                self._start()
            except (OSError, subprocess.SubprocessError) as error:
                self._tell(error=f"exec: {self._spec['argv'][0]!r}: {getattr(error, 'strerror', None) or error}")
                return
            while self._code is None:
                self._step()
            kill_descendants()
            self._drain()
            self._end()
            self._visitors.leave()

    def _listen(self) -> None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        read_end, write_end = pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, _noted)
        self._watch.set(read_end, self._signalled)
        pid, started = self._spec["end_with"]
        try:
            self._watch.set(os.pidfd_open(pid), self._left_alone)
        except ProcessLookupError:
            self._cut_short = True
        self._cut_short = self._cut_short or start_time(pid) != started

    def _start(self) -> None:
        spec, passed = self._spec, list(self._spec["passed"])
        for fd in self._stdio.outputs:
            self._watch.set(fd, self._hear)
        command = self._wrapped(passed) if spec["wrapper"] else spec["argv"]
        stdin, stdout, stderr = self._stdio.inner
        self._process = subprocess.Popen(
            command,
            env=spec["environment"],
            cwd=spec["working_dir"],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=passed,
            start_new_session=True,
            preexec_fn=self._become,
        )
        self._child = self._process.pid
        self._stdio.give_away()
        for fd in passed:
            os.close(fd)
        if not spec["wrapper"]:
            self._is_running(self._child)

    def _wrapped(self, passed: list[int]) -> list[str]:
        """The command with what shuts it in, and what takes its terminal; adds to *passed* where they tell of it."""
        spec, command = self._spec, list(self._spec["argv"])
        if spec["foreground"]:
            begun, told = pipe()
            self._watch.set(begun, self._go_on)
            passed.append(told)
            command = [*spec["foreground"], str(told), *command]
        status, told = pipe()
        self._watch.set(status, self._learn)
        passed.append(told)
        return [*spec["wrapper"], "--json-status-fd", str(told), "--", *command]

    def _become(self) -> None:
        """In the child: join the control groups, be the container's account, and end with the shim."""
        for file in self._spec["cgroup"]:
            with open(file, "w") as group:
                group.write("0")
        if self._spec["user"]:
            uid, gid = self._spec["user"]
            os.setgroups(())
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            prctl(PR_SET_NO_NEW_PRIVS, 1)
        if self._stdio.terminal is not None and not self._spec["wrapper"]:
            take_terminal()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def _step(self) -> None:
        self._watch.step(None if self._running else _LOOK_S)
        if not self._running and self._root is not None and not (self._goes_before or self._failed):
            self._looks += 1
            main = next(iter(children(self._root)), None)
            if main is not None and (name_of(main) not in ("bwrap", "") or self._looks > _LOOKS):
                self._is_running(main)

    def _signalled(self, fd: int, _events: int) -> None:
        numbers = set(os.read(fd, _CHUNK_BYTES))
        self._cut_short = self._cut_short or signal.SIGTERM in numbers
        if signal.SIGHUP in numbers:
            kill_descendants()
        if numbers & {signal.SIGTERM, signal.SIGUSR1}:
            self._ask()
        self._reap()

    def _left_alone(self, fd: int, _events: int) -> None:
        self._watch.forget(fd)
        self._cut_short = True
        kill_descendants()
        self._reap()

    def _ask(self) -> None:
        """Of processes that shut the command in, only the command is asked to end."""
        try:
            if not self._spec["wrapper"]:
                os.killpg(self._child, signal.SIGTERM)
            elif self._main is not None:
                signal.pidfd_send_signal(self._main, signal.SIGTERM)
            else:
                kill_descendants()
        except ProcessLookupError:
            return

    def _reap(self) -> None:
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    code = os.waitstatus_to_exitcode(ended[1])
                    self._code = code if code >= 0 else 128 - code
        except ChildProcessError:
            # Nothing is left; without a command of which we know how it ended, there is nothing to wait for either.
            self._code = _KILLED if self._code is None else self._code

    def _hear(self, fd: int, _events: int = 0) -> bool:
        stream = self._stdio.outputs[fd]
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            # A terminal whose session has ended.
            chunk = b""
        if chunk:
            self._log.feed(stream, chunk)
            self._visitors.tell(stream, chunk)
        else:
            self._watch.forget(fd)
            self._log.finish(stream)
        return bool(chunk)

    def _go_on(self, fd: int, _events: int) -> None:
        if chunk := os.read(fd, _CHUNK_BYTES):
            self._failed += chunk
        else:
            self._watch.forget(fd)
            self._goes_before = False

    def _learn(self, fd: int, _events: int) -> None:
        if not (chunk := os.read(fd, _CHUNK_BYTES)):
            self._watch.forget(fd)
        *lines, self._told = (self._told + chunk).split(b"\n")
        for line in lines:
            told = json.loads(line)
            self._root = told.get("child-pid", self._root)
            self._executed = self._executed or "exit-code" in told

    def _drain(self) -> None:
        """Take what is still in the pipes, without waiting for their end: what is there of the container may have
        given its end of one to another."""
        for _ in range(_LOOKS):
            if not self._watch.step(0, only=(self._hear, self._learn, self._go_on)):
                break
        # What is on its way through a terminal makes it ready to be read only when it has arrived.
        for _ in range(_LOOKS):
            if self._stdio.terminal is None or not self._hear(self._stdio.terminal):
                break
        for stream in self._stdio.outputs.values():
            self._log.finish(stream)

    def _end(self) -> None:
        if not self._running and (self._failed or not self._executed):
            why = self._failed or self._log.last_line
            self._tell(error=why.decode(errors="replace").removeprefix("bwrap: "))
            return
        if not self._running:
            self._is_running(None)
        if not self._cut_short:
            self._tell(exit_code=self._code, finished_at=time.time())

    def _is_running(self, main: int | None) -> None:
        self._running = True
        started = None
        if main is not None:
            try:
                self._main = os.pidfd_open(main)
                started = start_time(main)
            except ProcessLookupError:
                self._main = None
        self._tell(main=None if started is None else [main, started], started_at=time.time())
        os.close(self._ready)

    def _tell(self, **facts: object) -> None:
        os.write(self._record, json.dumps(facts).encode() + b"\n")


def _noted(*_: object) -> None:
    """The number of the signal has been written to the wakeup pipe."""


def main(arguments: list[str]) -> int:
    """Run one container; the exit code is nobody's concern."""
    heed_signals()
    spec_fd, record, ready = map(int, arguments)
    with os.fdopen(spec_fd) as file:
        spec = json.load(file)
    me = os.getpid()
    os.write(record, json.dumps({"shim": [me, start_time(me)]}).encode() + b"\n")
    try:
        Shim(spec, record, ready).run()
    finally:
        kill_descendants()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
