"""The outermost process of a container: how it gets its output, its control group and its options."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.kubelet.cgroups import Cgroup
from emulator.kubelet.logs import LogWriter
from emulator.kubelet.sandbox import Sandbox

# Nothing that a container brings may reach the programs that shut it in: no LD_PRELOAD, no PATH of its own.
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_JOIN_GROUPS = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; exec "$@"'


class StartError(Exception):
    """The command could not be executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to run, in which sandbox, in which control group, and where its output goes."""

    argv: tuple[str, ...]
    sandbox: Sandbox
    cgroup: Cgroup | None
    log: LogWriter


class Spawned:
    """The outermost process with its output and what it tells of its child, a line of JSON at a time."""

    def __init__(self, outer: asyncio.subprocess.Process, status: asyncio.StreamReader, launch: Launch) -> None:
        assert outer.stdout is not None and outer.stderr is not None
        self.outer = outer
        self._log = launch.log
        self._status = status
        self._next = asyncio.ensure_future(status.readline())
        self._output = asyncio.gather(launch.log.copy("stdout", outer.stdout), launch.log.copy("stderr", outer.stderr))

    @property
    def ended(self) -> bool:
        """Whether the next thing it has to tell is there, which after the first is how it ended."""
        return self._next.done()

    async def told(self) -> dict[str, Any]:
        line = await self._next
        self._next = asyncio.ensure_future(self._status.readline())
        return dict(json.loads(line)) if line.strip() else {}

    async def failure(self) -> str:
        """What the outermost process said before it gave up."""
        await self.outer.wait()
        await self.finish()
        return self._log.last_line.decode(errors="replace").removeprefix("bwrap: ")

    async def finish(self) -> None:
        await self._output
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)


async def spawn(command: _Command, launch: Launch, *fds: int) -> Spawned:
    read_end, write_end = os.pipe()
    argv = command(write_end)
    if launch.cgroup:
        argv = ("/bin/sh", "-c", _JOIN_GROUPS, "sh", *launch.cgroup.process_files, "--", *argv)
    status = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(status), os.fdopen(read_end, "rb", 0))
    try:
        outer = await asyncio.create_subprocess_exec(
            *argv,
            env=CLEAN,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(write_end, *fds),
            start_new_session=True,
        )
    except OSError as error:
        raise StartError(str(error)) from error
    finally:
        os.close(write_end)
    return Spawned(outer, status, launch)


class _Command(Protocol):
    def __call__(self, status: int, /) -> Sequence[str]: ...


@contextmanager
def passed(content: bytes) -> Iterator[int]:
    """A file without a name, to be read from its beginning by a child."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()
