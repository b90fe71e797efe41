"""The outermost process of a container: how it is started, or met again by a later kubelet, and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from emulator.kubelet.cgroups import Cgroup
from emulator.kubelet.doors import open_door
from emulator.kubelet.runs import Process, Record, Run, readable
from emulator.kubelet.sandbox import Sandbox

# Nothing that a container brings may reach the programs that shut it in: no LD_PRELOAD, no PATH of its own.
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_SHIM = "import sys; sys.path.append(sys.argv.pop(1)); from emulator.kubelet.shim import main; main(sys.argv[1:])"
_ROOT = str(Path(__file__).parents[2])
# Containers see the interpreter, wherever it lies, and nothing of ours.
_FOREGROUND = (str(Path(sys.executable).resolve()), "-I", "-S", "-c")
_FOREGROUND_TEXT = Path(__file__).with_name("foreground.py").read_text()
_KILLED = 128 + signal.SIGKILL


class StartError(Exception):
    """The command could not be executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to run, in which sandbox and control group, where its output goes, and where it is written down.

    It ends with the process *end_with* at the latest, and holds the socket *claim* as long as it runs. Its input is
    empty without *stdin*, ends with the first client of it if *stdin_once*, and is a terminal, as its output, if *tty*.
    """

    argv: tuple[str, ...]
    sandbox: Sandbox
    cgroup: Cgroup | None
    log: Path
    log_limit_bytes: int
    record: Record
    number: int
    container_id: str
    image_id: str
    end_with: Process
    claim: int | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """How a runtime has a command executed: by a program that shuts it in (*wrapper*, which reads the files *passed*),
    or directly, as *user*."""

    argv: tuple[str, ...]
    wrapper: tuple[str, ...] = ()
    passed: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: CLEAN)
    working_dir: str = "/"
    user: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended; nobody knows if it is *lost*. *reason* says it where more is known than that."""

    code: int
    reason: str = ""
    finished_at: datetime | None = None
    out_of_memory: bool = False
    lost: bool = False

    @property
    def told_reason(self) -> str:
        """Kubernetes' word for it."""
        if self.lost or self.out_of_memory:
            return "ContainerStatusUnknown" if self.lost else "OOMKilled"
        return self.reason or ("Error" if self.code else "Completed")


async def spawn(launch: Launch, shell: Shell) -> ContainerProcess:
    """Start a container and return when its command runs. Raises StartError."""
    sandbox, fds = launch.sandbox, [*shell.passed, *([] if launch.claim is None else [launch.claim])]
    facts = {
        "number": launch.number,
        "container_id": launch.container_id,
        "image_id": launch.image_id,
        "environment": dict(sandbox.environment),
        "working_dir": sandbox.working_dir,
    }
    record = launch.record.begin(facts)
    ready, starting = os.pipe()
    try:
        with open_door(launch.record.door) as door:
            content = _specification(launch, shell) | {"door": door.fileno()}
            with passed(json.dumps(content).encode()) as spec:
                shim = _popen((spec, record, starting), (*fds, door.fileno(), spec, record, starting))
    except (OSError, StartError) as error:
        os.close(ready)
        raise StartError(str(error)) from error
    finally:
        os.close(starting)
        os.close(record)
    try:
        await readable(ready)
    finally:
        os.close(ready)
    run = launch.record.read()
    process = ContainerProcess(launch.record, run, cgroup=launch.cgroup, child=shim)
    if run is None or run.started_at is None:
        await process.wait()
        raise StartError((run and run.error) or "the process around it ended")
    return process


def _specification(launch: Launch, shell: Shell) -> dict[str, Any]:
    return {
        "argv": shell.argv,
        "wrapper": shell.wrapper,
        "foreground": (*_FOREGROUND, _FOREGROUND_TEXT) if launch.tty and shell.wrapper else (),
        "passed": shell.passed,
        "environment": dict(shell.environment),
        "working_dir": shell.working_dir,
        "user": shell.user,
        "cgroup": launch.cgroup.process_files if launch.cgroup else (),
        "log": str(launch.log),
        "log_limit_bytes": launch.log_limit_bytes,
        "stdin": launch.stdin,
        "stdin_once": launch.stdin_once,
        "tty": launch.tty,
        "end_with": (launch.end_with.pid, launch.end_with.started),
    }


def _popen(arguments: tuple[int, ...], fds: tuple[int, ...]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            (sys.executable, "-I", "-S", "-c", _SHIM, _ROOT, *map(str, arguments)),
            env=CLEAN,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=fds,
            start_new_session=True,
        )
    except OSError as error:
        raise StartError(str(error)) from error


class ContainerProcess:
    """A container that runs, or ran, as its record tells; *child* is its outermost process if that is ours."""

    def __init__(
        self, record: Record, run: Run | None, *, cgroup: Cgroup | None, child: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.run = run
        self.main = run.main if run else None
        self.environment: Mapping[str, str] = run.environment if run else {}
        self.working_dir = run.working_dir if run else "/"
        self._record = record
        self.cgroup = cgroup
        self._child = child
        if child is not None:
            # Nobody else takes its exit status, so that the number is still its own.
            self._shim: int | None = os.pidfd_open(child.pid)
        else:
            self._shim = run.shim.opened() if run and run.alive and run.shim else None

    @property
    def door(self) -> Path:
        """Where its outermost process is reached, as long as that runs."""
        return self._record.door

    @property
    def alive(self) -> bool:
        return self._shim is not None

    async def ended(self) -> None:
        """Return when nothing of the container is left and all it said is in the log."""
        if self._shim is not None:
            await readable(self._shim)

    async def wait(self) -> Exit:
        """The same, and tell how it ended."""
        await self.ended()
        if self._shim is not None:
            os.close(self._shim)
            self._shim = None
        if self._child is not None:
            self._child.wait()
        run = self._record.read()
        if run is None or run.exit_code is None:
            return Exit(_KILLED, lost=True)
        killed = run.exit_code == _KILLED and self.cgroup is not None and self.cgroup.oom_kills() > 0
        return Exit(run.exit_code, finished_at=run.finished_at, out_of_memory=killed)

    def terminate(self) -> None:
        """Ask the command to end."""
        self._send(signal.SIGUSR1)

    def kill(self) -> None:
        """End everything of the container now."""
        self._send(signal.SIGHUP)

    def _send(self, number: signal.Signals) -> None:
        if self._shim is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._shim, number)


@contextmanager
def passed(content: bytes) -> Iterator[int]:
    """A file without a name, to be read from its beginning by a child."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()
