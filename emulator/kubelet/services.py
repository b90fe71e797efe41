"""What one kubelet shares among all its pods."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from emulator.kubelet.addresses import Addresses
from emulator.kubelet.api import Api
from emulator.kubelet.cgroups import Cgroups
from emulator.kubelet.events import Events
from emulator.kubelet.images import Images
from emulator.kubelet.layout import Layout
from emulator.kubelet.process import Runtime
from emulator.kubelet.runs import Process, Runs
from emulator.kubelet.states import Terminated

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the kubelet waits before it tries again; Kubernetes' figures, which tests shorten."""

    back_off_s: float = 10
    longest_back_off_s: float = 300
    settled_after_s: float = 600
    retry_s: float = 1
    heartbeat_s: float = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """*end_with* is the process without which no container is to run."""

    api: Api
    events: Events
    images: Images
    runtime: Runtime
    cgroups: Cgroups | None
    addresses: Addresses
    layout: Layout
    runs: Runs
    end_with: Process
    timing: Timing
    now: Callable[[], datetime]
    registry: str
    host_ip: str
    allocatable: dict[str, str]
    log_limit_bytes: int


class Stopped(Exception):
    """The pod is to end, so what was waited for no longer matters."""


async def unless_stopped(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """Return what *work* returns; give it up when *stop* is set. Raises Stopped."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Stopped
        return task.result()
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


def delays(timing: Timing) -> Iterator[float]:
    """The back-off of Kubernetes: twice as long each time, up to a limit."""
    delay = timing.back_off_s
    while True:
        yield min(delay, timing.longest_back_off_s)
        delay *= 2


class BackOff:
    """How long one container waits before each of its runs."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._pauses = delays(timing)
        self._runs = 0

    def after(self, ended: Terminated) -> float:
        """The pause, in seconds, after a run: none before the second run of all, or after one that lasted."""
        self._runs += 1
        lasted_s = (ended.finished_at - ended.started_at).total_seconds() if ended.started_at else 0
        if lasted_s >= self._timing.settled_after_s:
            self._pauses, self._runs = delays(self._timing), 1
        return 0 if self._runs == 1 else next(self._pauses)


def shown_delay(seconds: float) -> str:
    """Go's way to print a duration of whole seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
