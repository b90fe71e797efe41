"""What is known of every container's newest run, for a kubelet that comes later.

A record is a file of JSON lines that grows: who the kubelet starts, then what the run's outermost process (`shim`) says
of itself, of its command, and of the end. That process keeps it locked as long as it lives. Containers cannot reach the
folder; what is found in it is believed only as far as the kernel agrees: the lock, and the process of that number which
started at that time.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emulator.kubelet.descent import start_time
from emulator.kubelet.layout import remove_tree

log = logging.getLogger(__name__)

# Between its start and its first words.
_PATIENCE_S = 10.0
_LOOK_S = 0.02
_LONGEST_BYTES = 8 * 2**20
_DOOR = ".door"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for another: its number, and when it started in clock ticks since boot."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started

    def opened(self) -> int | None:
        """A descriptor that stands for the process; None when it does not run any more."""
        try:
            fd = os.pidfd_open(self.pid)
        except (ProcessLookupError, OverflowError):
            return None
        if self.alive:
            return fd
        os.close(fd)
        return None


def this_process() -> Process:
    """The one that asks."""
    return named_process(os.getpid())


def named_process(pid: int) -> Process:
    """The process that has this number now. Raises ProcessLookupError."""
    started = start_time(pid)
    if started is None:
        raise ProcessLookupError(f"no process {pid} runs here")
    return Process(pid, started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a container as its record tells. *shim* and *main* are its outermost process and its command.

    Without an *exit_code* it runs, or nobody knows how it ended."""

    number: int
    container_id: str = ""
    image_id: str = ""
    environment: Mapping[str, str]
    working_dir: str
    shim: Process | None = None
    main: Process | None = None
    started_at: datetime | None = None
    exit_code: int | None = None
    finished_at: datetime | None = None
    error: str | None = None
    alive: bool = False

    @property
    def told(self) -> bool:
        """Whether it is known that the command runs or ran, or could not."""
        return self.started_at is not None or self.error is not None


class Record:
    """The record of one container's newest run, and its *door*: where its outermost process is reached."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Names of containers have no dots.
        self.door = path.with_name(path.name + _DOOR)

    def begin(self, facts: Mapping[str, object]) -> int:
        """Begin anew with *facts*; return the file, locked, for the run's outermost process."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, _line(facts))
        return fd

    def abandon(self) -> None:
        """Note that what the command exits with from now on says nothing: it was made to end."""
        with suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            os.write(fd, _line({"abandoned": True}))
            os.close(fd)

    def read(self) -> Run | None:
        """The run; None when there is none, or its record makes no sense."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            _check_ours(os.fstat(fd))
            # Before reading: a process that ends meanwhile has said so in what is read.
            locked = _locked(fd)
            return _run(_facts(os.read(fd, _LONGEST_BYTES)), locked=locked)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            log.warning("record %s is ignored: %s", self.path, error)
            return None
        finally:
            os.close(fd)

    async def settled(self) -> Run | None:
        """The same once it is known whether the command runs: a kubelet may have ended while it was started."""
        for _ in range(int(_PATIENCE_S / _LOOK_S)):
            run = self.read()
            if run is None or run.told or not run.alive:
                return run
            await asyncio.sleep(_LOOK_S)
        log.warning("record %s never told that its command runs", self.path)
        return self.read()


class Runs:
    """The records of all containers of one kubelet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, uid: str, container: str) -> Record:
        return Record(self._folder / uid / container)

    def known(self) -> frozenset[str]:
        """The uids of pods of which there are records."""
        return frozenset(each.name for each in self._folder.iterdir())

    def cgroup_names(self) -> frozenset[str]:
        """The names of the control groups of all runs that are known."""
        found = ((each, each.read()) for uid in self.known() for each in self._of(uid))
        return frozenset(cgroup_name(each.path.parent.name, each.path.name, run.number) for each, run in found if run)

    def abandon(self, uid: str) -> None:
        for each in self._of(uid):
            each.abandon()

    def forget(self, uid: str) -> None:
        remove_tree(self._folder / uid)

    async def end(self, uid: str) -> None:
        """Kill what still runs of a pod."""
        for each in self._of(uid):
            run = await each.settled()
            shim = run.shim.opened() if run and run.alive and run.shim else None
            if shim is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(shim, signal.SIGHUP)
                await readable(shim)
                os.close(shim)

    def _of(self, uid: str) -> Iterator[Record]:
        folder = self._folder / uid
        found = folder.iterdir() if folder.is_dir() else ()
        return (Record(each) for each in found if each.suffix != _DOOR)


def cgroup_name(uid: str, container: str, number: int) -> str:
    """What the control group of a run is called."""
    return f"{uid}-{container}-{number}"


async def readable(fd: int) -> None:
    """Return when there is something to read, or nothing more to come; of a pidfd: when the process has ended."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


def _line(facts: Mapping[str, object]) -> bytes:
    return json.dumps(facts).encode() + b"\n"


def _check_ours(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise ValueError("it is not a file of ours")


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def _facts(content: bytes) -> dict[str, Any]:
    """All lines together, up to the last whole one."""
    facts: dict[str, Any] = {}
    for line in content.split(b"\n")[:-1]:
        facts |= json.loads(line)
    return facts


def _run(facts: Mapping[str, Any], *, locked: bool) -> Run:
    shim, abandoned = _process(facts.get("shim")), bool(facts.get("abandoned"))
    # A shim that has just been started has not said yet who it is.
    alive = locked and (shim is None or shim.alive)
    code = facts.get("exit_code")
    return Run(
        number=int(facts["number"]),
        container_id=str(facts["container_id"]),
        image_id=str(facts["image_id"]),
        environment={str(name): str(value) for name, value in facts["environment"].items()},
        working_dir=str(facts["working_dir"]),
        shim=shim,
        main=_process(facts.get("main")),
        started_at=_moment(facts.get("started_at")),
        exit_code=None if code is None or abandoned else int(code),
        finished_at=_moment(facts.get("finished_at")),
        error=None if facts.get("error") is None else str(facts["error"]),
        alive=alive,
    )


def _process(pair: Iterable[Any] | None) -> Process | None:
    if pair is None:
        return None
    pid, started = map(int, pair)
    if pid <= 1:
        raise ValueError(f"{pid} is no process of a container")
    return Process(pid, started)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
