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
import select
import signal
import subprocess
import sys
import time

from emulator.kubelet.descent import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    children,
    kill_descendants,
    prctl,
    start_time,
)
from emulator.kubelet.logfile import LogFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
        # Unlike `poll`, it tells first what was ready first: lines of the two streams mostly stay in their order.
        self._poll = select.epoll()
        self._readers: dict[int, Callable[[int], None]] = {}
        self._streams: dict[int, str] = {}
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

    def _listen(self) -> None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        read_end, write_end = _pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, _noted)
        self._read(read_end, self._signalled)
        pid, started = self._spec["end_with"]
        try:
            self._read(os.pidfd_open(pid), self._left_alone)
        except ProcessLookupError:
            self._cut_short = True
        self._cut_short = self._cut_short or start_time(pid) != started

    def _start(self) -> None:
        spec, outputs = self._spec, [_pipe(), _pipe()]
        for (read_end, write_end), stream in zip(outputs, ("stdout", "stderr"), strict=True):
            self._streams[read_end] = stream
            self._read(read_end, self._hear)
            if spec["user"]:
                # /dev/stdout and /dev/stderr are opened by path, by whoever owns the pipe.
                os.fchown(write_end, *spec["user"])
        command, passed = list(spec["argv"]), list(spec["passed"])
        if spec["wrapper"]:
            status, told = _pipe()
            self._read(status, self._learn)
            command = [*spec["wrapper"], "--json-status-fd", str(told), "--", *command]
            passed.append(told)
        self._process = subprocess.Popen(
            command,
            env=spec["environment"],
            cwd=spec["working_dir"],
            stdin=subprocess.DEVNULL,
            stdout=outputs[0][1],
            stderr=outputs[1][1],
            pass_fds=passed,
            start_new_session=True,
            preexec_fn=self._become,
        )
        self._child = self._process.pid
        for fd in (*(write_end for _, write_end in outputs), *passed):
            os.close(fd)
        if not spec["wrapper"]:
            self._is_running(self._child)

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
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def _step(self) -> None:
        for fd, _ in self._poll.poll(None if self._running else _LOOK_S):
            self._readers[fd](fd)
        if not self._running and self._root is not None:
            self._looks += 1
            main = next(iter(children(self._root)), None)
            if main is not None and (_name(main) != "bwrap" or self._looks > _LOOKS):
                self._is_running(main)

    def _signalled(self, fd: int) -> None:
        numbers = set(os.read(fd, _CHUNK_BYTES))
        self._cut_short = self._cut_short or signal.SIGTERM in numbers
        if signal.SIGHUP in numbers:
            kill_descendants()
        if numbers & {signal.SIGTERM, signal.SIGUSR1}:
            self._ask()
        self._reap()

    def _left_alone(self, fd: int) -> None:
        self._forget(fd)
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

    def _hear(self, fd: int) -> None:
        if chunk := os.read(fd, _CHUNK_BYTES):
            self._log.feed(self._streams[fd], chunk)
        else:
            self._forget(fd)
            self._log.finish(self._streams[fd])

    def _learn(self, fd: int) -> None:
        if not (chunk := os.read(fd, _CHUNK_BYTES)):
            self._forget(fd)
        *lines, self._told = (self._told + chunk).split(b"\n")
        for line in lines:
            told = json.loads(line)
            self._root = told.get("child-pid", self._root)
            self._executed = self._executed or "exit-code" in told

    def _drain(self) -> None:
        """Take what is still in the pipes, without waiting for their end: what is there of the container may have
        given its end of one to another."""
        for _ in range(_LOOKS):
            ready = [fd for fd, _ in self._poll.poll(0) if self._readers[fd] in (self._hear, self._learn)]
            if not ready:
                break
            for fd in ready:
                self._readers[fd](fd)
        for stream in self._streams.values():
            self._log.finish(stream)

    def _end(self) -> None:
        if not self._running and not self._executed:
            self._tell(error=self._log.last_line.decode(errors="replace").removeprefix("bwrap: "))
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

    def _read(self, fd: int, reader: Callable[[int], None]) -> None:
        self._readers[fd] = reader
        self._poll.register(fd, select.EPOLLIN)

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        del self._readers[fd]


def _noted(*_: object) -> None:
    """The number of the signal has been written to the wakeup pipe."""


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "bwrap"


def main(arguments: list[str]) -> int:
    """Run one container; the exit code is nobody's concern."""
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
