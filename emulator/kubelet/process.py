"""How containers are shut in: in namespaces by bubblewrap, or not at all."""

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
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from emulator.kubelet.identity import User, container_account
from emulator.kubelet.names import check_text
from emulator.kubelet.ownership import closed_to
from emulator.kubelet.sandbox import REPLACED, Bind, Machine, Mount, Sandbox, bubblewrap_options, by_path
from emulator.kubelet.spawning import CLEAN, ContainerProcess, Launch, Shell, StartError, passed, spawn
from emulator.kubelet.stage import open_source, staged

ENTER = Path(__file__).with_name("enter.py")
STAGE = Path(__file__).with_name("stage.py")
_SCRIPT = (sys.executable, "-I", "-S")
_CLOSED = "containers run as user {}, which may not enter {}; with bubblewrap they need not"
log = logging.getLogger(__name__)


class Runtime(Protocol):
    """How containers are shut in. `isolated` tells whether mounts and hidden folders have an effect, `account` whom
    containers are started as, if not as ourselves."""

    isolated: bool
    account: User | None

    async def start(self, launch: Launch) -> ContainerProcess:
        """Start the command and return when it runs. Raises StartError."""
        ...

    async def execute(self, process: ContainerProcess, command: Sequence[str]) -> int:
        """Run *command* beside the process, in the same container, and return its exit code. Raises StartError."""
        ...


class Bubblewrap:
    """Every container in namespaces of its own, which end with their first process.

    A program that *opens* takes what is to be mounted as open files; for root that is done otherwise."""

    isolated = True

    def __init__(self, program: str, account: User | None, *, opens: bool = True) -> None:
        self.account = account
        self._program = program
        self._opens = opens

    async def start(self, launch: Launch) -> ContainerProcess:
        try:
            with self.prepared(launch.sandbox) as (command, fds):
                return await spawn(launch, Shell(wrapper=command, argv=launch.argv, passed=fds))
        except OSError as error:
            raise StartError(f"the sandbox cannot be prepared: {error}") from error

    async def execute(self, process: ContainerProcess, command: Sequence[str]) -> int:
        if process.main is None:
            raise StartError("the container has ended")
        ids = (self.account.uid, self.account.gid) if self.account else (os.getuid(), os.getgid())
        enter = (*_SCRIPT, str(ENTER), str(process.main.pid), *map(str, ids))
        return await _execute((*enter, *_with(process.environment), *command), cwd="/")

    @contextmanager
    def prepared(self, sandbox: Sandbox) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
        """The command that makes *sandbox*, to be completed by more options and what to run, and the files that it
        reads. Raises OSError."""
        if self.account is None:
            with _bound(sandbox, opens=self._opens) as (opened, fds):
                options = _text_of(bubblewrap_options(sandbox, Machine(), opened))
                with passed(options) as fd:
                    yield (self._program, "--args", str(fd)), (fd, *fds)
            return
        sandbox = _reachable(sandbox, self.account)
        sources = list(dict.fromkeys(each.source for each in sandbox.mounts))
        places = {source: staged(number) for number, source in enumerate(sources)}

        def bind(source: str, read_only: bool) -> tuple[str, str]:
            return by_path(places.get(source, source), read_only)

        options = _text_of(bubblewrap_options(sandbox, Machine(), bind))
        with passed(options) as fd, passed(json.dumps(sources).encode()) as sources_fd:
            stage = (*_SCRIPT, str(STAGE), *map(str, (self.account.uid, self.account.gid, sources_fd)))
            yield (*stage, self._program, "--args", str(fd)), (fd, sources_fd)


@contextmanager
def _bound(sandbox: Sandbox, *, opens: bool) -> Iterator[tuple[Bind, list[int]]]:
    """How to mount what *sandbox* mounts: as the files that are opened for it, which are in the list. Bubblewrap makes
    sure that these are what it mounted, whatever a container puts in their place meanwhile."""
    sources, fds = {each.source for each in sandbox.mounts} if opens else set(), list[int]()

    def bind(source: str, read_only: bool) -> tuple[str, str]:
        if source not in sources:
            return by_path(source, read_only)
        # One for each mount: bubblewrap closes it then, and what nobody closes, the container has.
        fds.append(open_source(source))
        return ("--ro-bind-fd" if read_only else "--bind-fd", str(fds[-1]))

    try:
        yield bind, fds
    finally:
        for fd in fds:
            os.close(fd)


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
    """Containers from which nothing is hidden; what ends them is the small process around each."""

    isolated = False

    def __init__(self, account: User | None) -> None:
        self.account = account

    async def start(self, launch: Launch) -> ContainerProcess:
        sandbox = launch.sandbox
        if self.account and (closed := closed_to(Path(sandbox.working_dir) / "x", self.account)):
            raise StartError(_CLOSED.format(self.account.uid, closed))
        user = (self.account.uid, self.account.gid) if self.account else None
        environment, folder = sandbox.environment, sandbox.working_dir
        return await spawn(launch, Shell(argv=launch.argv, environment=environment, working_dir=folder, user=user))

    async def execute(self, process: ContainerProcess, command: Sequence[str]) -> int:
        user = {"user": self.account.uid, "group": self.account.gid, "extra_groups": ()} if self.account else {}
        return await _execute((*_with(process.environment), *command), cwd=process.working_dir, **user)


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
    account, opens = container_account(), _opens(program)
    if account is None and not opens:
        log.warning("this bubblewrap has no --bind-fd: a container could make a subPath lead out of its volume")
    runtime = Bubblewrap(program, account, opens=opens)
    sandbox = Sandbox(hostname="test", working_dir="/", environment=CLEAN, mounts=(Mount("/usr", "/usr"),))
    try:
        with runtime.prepared(sandbox) as (command, fds):
            tried = subprocess.run(
                [*command, "--", "/bin/true"],
                env=CLEAN,
                pass_fds=fds,
                # Not the terminal of whoever starts us, which would be given to the account.
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10,
            )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if tried.returncode:
        log.warning("bubblewrap: %s", tried.stderr.decode(errors="replace").strip())
    return runtime if tried.returncode == 0 else None


def _opens(program: str) -> bool:
    """Whether this bubblewrap mounts what is opened for it (--bind-fd, which came with the correction of
    CVE-2024-42472)."""
    try:
        said = subprocess.run([program, "--help"], env=CLEAN, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"--bind-fd" in said.stdout
