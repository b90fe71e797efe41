"""Containers as processes: started in a sandbox, ended as a whole."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from emulator.kubelet.cgroups import Cgroup
from emulator.kubelet.identity import User, container_account
from emulator.kubelet.names import check_text
from emulator.kubelet.ownership import closed_to
from emulator.kubelet.sandbox import REPLACED, Machine, Mount, Sandbox, bubblewrap_options
from emulator.kubelet.spawning import CLEAN, Launch, Spawned, StartError, passed, spawn
from emulator.kubelet.stage import staged

SHIM = Path(__file__).with_name("shim.py")
ENTER = Path(__file__).with_name("enter.py")
STAGE = Path(__file__).with_name("stage.py")
_SCRIPT = (sys.executable, "-I", "-S")
_CLOSED = "containers run as user {}, which may not enter {}; with bubblewrap they need not"
log = logging.getLogger(__name__)
_POLL_S = 0.004
_POLLS = 500


@dataclass(frozen=True, slots=True)
class Exit:
    code: int
    out_of_memory: bool = False


class Runtime(Protocol):
    """How containers are shut in. `isolated` tells whether mounts and hidden folders have an effect, `account` whom
    containers are started as, if not as ourselves."""

    isolated: bool
    account: User | None

    async def start(self, launch: Launch) -> ContainerProcess:
        """Start the command and return when it runs. Raises StartError."""
        ...

    async def execute(self, process: ContainerProcess, command: Sequence[str], launch: Launch) -> int:
        """Run *command* beside the process, in the same container, and return its exit code. Raises StartError."""
        ...


class Bubblewrap:
    """Every container in namespaces of its own, which end with their first process and with this one."""

    isolated = True

    def __init__(self, program: str, account: User | None) -> None:
        self.account = account
        self._program = program

    async def start(self, launch: Launch) -> ContainerProcess:
        with self.prepared(launch.sandbox) as (command, fds):
            spawned = await spawn(
                lambda status: (*command, "--json-status-fd", str(status), "--", *launch.argv), launch, *fds
            )
        root = (await spawned.told()).get("child-pid")
        if root is None:
            raise StartError(await spawned.failure())
        process = ContainerProcess(spawned, cgroup=launch.cgroup, root=root)
        main = await _executed(root, spawned)
        if spawned.ended and "exit-code" not in await spawned.told():
            await process.wait()
            raise StartError(await spawned.failure())
        process.main = main or root
        return process

    async def execute(self, process: ContainerProcess, command: Sequence[str], launch: Launch) -> int:
        ids = (self.account.uid, self.account.gid) if self.account else (os.getuid(), os.getgid())
        enter = (*_SCRIPT, str(ENTER), str(process.main), *map(str, ids))
        return await _execute((*enter, *_with(launch.sandbox.environment), *command), cwd="/")

    @contextmanager
    def prepared(self, sandbox: Sandbox) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
        """The command that makes *sandbox*, to be completed by more options and what to run, and the files that it
        reads."""
        if self.account is None:
            with passed(_text_of(bubblewrap_options(sandbox, Machine()))) as fd:
                yield (self._program, "--args", str(fd)), (fd,)
            return
        sandbox = _reachable(sandbox, self.account)
        sources = list(dict.fromkeys(each.source for each in sandbox.mounts))
        places = {source: staged(number) for number, source in enumerate(sources)}
        options = _text_of(bubblewrap_options(sandbox, Machine(), places))
        with passed(options) as fd, passed(json.dumps(sources).encode()) as sources_fd:
            stage = (*_SCRIPT, str(STAGE), *map(str, (self.account.uid, self.account.gid, sources_fd)))
            yield (*stage, self._program, "--args", str(fd)), (fd, sources_fd)


def _text_of(options: Sequence[str]) -> bytes:
    # The options end at NULs: with one inside, a value would become options of its own.
    text = "\0".join(check_text("an option of the sandbox", each) for each in options)
    return text.encode(errors="surrogateescape")


def _reachable(sandbox: Sandbox, account: User) -> Sandbox:
    """The same without folders that *account* could not mount anything in, as it may not enter them."""
    targets = (*(each.target for each in sandbox.mounts), *sandbox.hidden, *sandbox.masked)
    machines = (Path(each) for each in targets if each.split("/")[1] not in REPLACED)
    closed = {str(folder) for each in machines if (folder := closed_to(each, account))}
    return replace(sandbox, hidden=(*sandbox.hidden, *sorted(closed - set(sandbox.hidden))))


class Bare:
    """Every container below a small process that takes all its descendants down; nothing is hidden from it."""

    isolated = False

    def __init__(self, account: User | None) -> None:
        self.account = account

    async def start(self, launch: Launch) -> ContainerProcess:
        sandbox = launch.sandbox
        if self.account and (closed := closed_to(Path(sandbox.working_dir) / "x", self.account)):
            raise StartError(_CLOSED.format(self.account.uid, closed))
        spec = {
            "argv": launch.argv,
            "environment": dict(sandbox.environment),
            "cwd": sandbox.working_dir,
            "user": self.account and (self.account.uid, self.account.gid),
        }
        shim = (*_SCRIPT, str(SHIM), str(os.getpid()))
        with passed(json.dumps(spec).encode()) as fd:
            spawned = await spawn(lambda status: (*shim, str(status), str(fd)), launch, fd)
        told = await spawned.told()
        if "child-pid" not in told:
            raise StartError(told.get("error") or await spawned.failure())
        return ContainerProcess(spawned, cgroup=launch.cgroup, root=None)

    async def execute(self, process: ContainerProcess, command: Sequence[str], launch: Launch) -> int:
        user = {"user": self.account.uid, "group": self.account.gid, "extra_groups": ()} if self.account else {}
        argv = (*_with(launch.sandbox.environment), *command)
        return await _execute(argv, cwd=launch.sandbox.working_dir, **user)


def _with(environment: Mapping[str, str]) -> tuple[str, ...]:
    return ("/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items()))


async def _execute(argv: Sequence[str], *, cwd: str, **user: Any) -> int:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=CLEAN,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **user,
        )
    except OSError as error:
        raise StartError(str(error)) from error
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def find_runtime() -> Bubblewrap | None:
    """Return the runtime that isolates containers; None where this machine does not let it run."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    runtime = Bubblewrap(program, container_account())
    sandbox = Sandbox(hostname="test", working_dir="/", environment=CLEAN, mounts=(Mount("/usr", "/usr"),))
    try:
        with runtime.prepared(sandbox) as (command, fds):
            tried = subprocess.run(
                [*command, "--", "/bin/true"], env=CLEAN, pass_fds=fds, capture_output=True, timeout=10
            )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if tried.returncode:
        log.warning("bubblewrap: %s", tried.stderr.decode(errors="replace").strip())
    return runtime if tried.returncode == 0 else None


class ContainerProcess:
    """A container that runs. *root* is the process that all others of it end with, if that is not the outermost."""

    def __init__(self, spawned: Spawned, *, cgroup: Cgroup | None, root: int | None) -> None:
        self.main = spawned.outer.pid
        self._spawned = spawned
        self._cgroup = cgroup
        self._root = _pidfd(root)

    async def wait(self) -> Exit:
        """Return when nothing of the container is left and all it said is in the log."""
        code = await self._spawned.outer.wait()
        if self._root is not None:
            await _readable(self._root)
            os.close(self._root)
            self._root = None
        await self._spawned.finish()
        code = code if code >= 0 else 128 - code
        killed = code == 128 + signal.SIGKILL and self._cgroup is not None and self._cgroup.oom_kills() > 0
        return Exit(code, out_of_memory=killed)

    def terminate(self) -> None:
        """Ask the command to end."""
        if self._spawned.outer.returncode is None:
            _send(self.main, signal.SIGTERM)

    def kill(self) -> None:
        """End everything of the container now."""
        if self._root is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._root, signal.SIGKILL)
        elif self._spawned.outer.returncode is None:
            _send(self._spawned.outer.pid, signal.SIGHUP)


async def _executed(root: int, spawned: Spawned) -> int | None:
    """The command's process, the first child of *root*, once it is no longer bubblewrap itself.

    After a while it is taken for the command even so: that may be called bwrap, too.
    """
    child = None
    for _ in range(_POLLS):
        if spawned.ended:
            break
        child = next(iter(_children(root)), None)
        if child is not None and _name(child) != "bwrap":
            break
        await asyncio.sleep(_POLL_S)
    return child


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "bwrap"


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _pidfd(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


async def _readable(fd: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
