"""Commands that somebody runs in a container: started beside its process, and ended with who asked for them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.kubelet.container import Container
from emulator.kubelet.identity import User
from emulator.kubelet.process import Runtime
from emulator.kubelet.spawning import CLEAN, StartError, passed

_ROOT = str(Path(__file__).parents[2])
_SCRIPT = (
    "import sys; sys.path.append(sys.argv[1]); from emulator.kubelet.session import main; sys.exit(main(sys.argv[2:]))"
)
_END_OF_INPUT = b"\x04"
# A container's own process could write to the pipe, too.
_LONGEST_STATUS_BYTES = 4096
_HANG_UP_S = 2.0
# A container's own process could stop the one that is to tell.
_START_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command runs: in the namespaces of process *pid* (None where it has none of its own), as *account*."""

    pid: int | None
    account: User | None
    environment: Mapping[str, str]
    working_dir: str
    groups: tuple[str, ...]


def place_of(container: Container | None, runtime: Runtime) -> Place | None:
    """Where a further command of a container would run; None when the container does not run."""
    process = container.process if container else None
    if process is None or process.main is None or not process.alive:
        return None
    return Place(
        pid=process.main.pid if runtime.isolated else None,
        account=runtime.account,
        environment=process.environment,
        working_dir=process.working_dir,
        groups=process.cgroup.process_files if process.cgroup else (),
    )


@dataclass(slots=True)
class Session:
    """A command that runs, with our ends of its standard streams. With a terminal, *error* is None."""

    process: asyncio.subprocess.Process
    output: asyncio.StreamReader = field(default_factory=asyncio.StreamReader)
    error: asyncio.StreamReader | None = None
    input: asyncio.StreamWriter | None = None
    terminal: int | None = None
    transports: list[asyncio.BaseTransport] = field(default_factory=list)

    async def wait(self) -> int:
        """Return the command's exit code, as a shell would tell it, when it has ended."""
        code = await self.process.wait()
        return code if code >= 0 else 128 - code

    async def write(self, content: bytes) -> None:
        """Say something to the command, if it hears; wait until there is room for it."""
        if self.input is not None:
            with suppress(ConnectionError, OSError):
                self.input.write(content)
                await self.input.drain()

    async def end_input(self) -> None:
        """Say that nothing more is going to be said."""
        if self.terminal is not None:
            await self.write(_END_OF_INPUT)
        elif self.input is not None:
            self.input.close()

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal, if there is one, how large it is now. Raises ValueError for sizes that none has."""
        if self.terminal is not None:
            try:
                size = struct.pack("HHHH", rows, columns, 0, 0)
            except struct.error as error:
                raise ValueError(f"{columns} by {rows} is no size of a terminal") from error
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)

    async def close(self) -> None:
        """End the command and all that it started, if it has not ended; give its streams back."""
        if self.input is not None:
            self.input.transport.abort()
        if self.process.returncode is None:
            for number in (signal.SIGHUP, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    self.process.send_signal(number)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.process.wait(), _HANG_UP_S)
                    break
        for transport in self.transports:
            transport.close()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None

    async def connect(self, typed: int | None, output: int, error: int | None) -> None:
        """Read and write at these file descriptors, which belong to us from now on."""
        await self._read(self.output, output)
        if error is not None:
            self.error = asyncio.StreamReader()
            await self._read(self.error, error)
        if typed is not None:
            loop = asyncio.get_running_loop()
            writing = loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(typed, "wb", 0))
            transport, flow = await writing
            self.input = asyncio.StreamWriter(transport, flow, None, loop)

    async def _read(self, reader: asyncio.StreamReader, fd: int) -> None:
        protocol = asyncio.StreamReaderProtocol(reader)
        reading = asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb", 0))
        self.transports.append((await reading)[0])


async def start(place: Place, command: Sequence[str], *, stdin: bool, tty: bool) -> Session:
    """Run *command* at *place*; with *tty* its streams are one terminal. Raises StartError."""
    read_end, write_end = os.pipe()
    spec = {
        "argv": list(command),
        "environment": dict(place.environment),
        "cwd": place.working_dir,
        "pid": place.pid,
        "user": place.account and (place.account.uid, place.account.gid),
        "groups": place.groups,
        "tty": tty,
    }
    with os.fdopen(read_end, "rb", 0) as status, passed(json.dumps(spec).encode()) as fd:
        try:
            argv = (sys.executable, "-I", "-S", "-c", _SCRIPT, _ROOT, *map(str, (os.getpid(), fd, write_end)))
            session = await _spawn(argv, place.account, (fd, write_end), stdin=stdin, tty=tty)
        except OSError as error:
            raise StartError(str(error)) from error
        finally:
            os.close(write_end)
        try:
            await _started(status)
        except BaseException:
            await session.close()
            raise
    return session


async def _started(status: Any) -> None:
    reader = asyncio.StreamReader(limit=_LONGEST_STATUS_BYTES)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), status)
    try:
        told = json.loads(await asyncio.wait_for(reader.read(_LONGEST_STATUS_BYTES), _START_S))
        why = told.get("error")
    except (ValueError, AttributeError, TimeoutError) as error:
        raise StartError(
            "the container cannot be entered: it is ending, or has no room for one more process"
        ) from error
    finally:
        transport.close()
    if why is not None:
        raise StartError(str(why))


async def _spawn(argv: Sequence[str], account: User | None, fds: tuple[int, ...], *, stdin: bool, tty: bool) -> Session:
    """Start the process with pipes or a terminal of our own making: asyncio would take a process for running as long as
    anything that it has left behind holds one of its pipes."""
    inner, outer = _terminal(account) if tty else _pipes(account)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=inner[0] if stdin or tty else subprocess.DEVNULL,
            stdout=inner[1],
            stderr=inner[2],
            env=CLEAN,
            cwd="/",
            pass_fds=fds,
            start_new_session=True,
        )
    except BaseException:
        _close(outer)
        raise
    finally:
        _close(inner)
    typed, output, *errors = outer
    session = Session(process, terminal=os.dup(typed) if tty else None)
    if not stdin:
        os.close(typed)
    await session.connect(typed if stdin else None, output, errors[0] if errors else None)
    return session


def _pipes(account: User | None) -> tuple[list[int], list[int]]:
    """The three pipes of a command: the ends that it gets, and those that we keep."""
    pairs = [os.pipe()[::-1] if stream else os.pipe() for stream in range(3)]
    if account is not None:
        # /dev/stdout and its like are opened by path, by whoever owns the pipe.
        for inner, _ in pairs:
            os.fchown(inner, account.uid, account.gid)
    return [inner for inner, _ in pairs], [outer for _, outer in pairs]


def _terminal(account: User | None) -> tuple[list[int], list[int]]:
    """The same for a terminal, which is one thing for all three."""
    outer, inner = os.openpty()
    if account is not None:
        os.fchown(inner, account.uid, account.gid)
    return [inner, inner, inner], [outer, os.dup(outer)]


def _close(fds: Sequence[int]) -> None:
    for fd in set(fds):
        os.close(fd)
