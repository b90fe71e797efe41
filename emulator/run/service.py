"""One function as a service: its instances, and the requests that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

from emulator.run import scaling
from emulator.run.instance import START_LIMIT_S, Instance, StartFailed
from emulator.run.logs import Log
from emulator.run.sandbox import Blueprint

# From SIGTERM to SIGKILL: https://cloud.google.com/run/docs/container-contract#instance-shutdown
GRACE_S = 10.0
LONGEST_QUEUE = 1000


class NoInstance(Exception):
    """No instance had room in time; the caller may try again."""


class Broken(Exception):
    """The function's instances do not start."""


class Service:
    """Gives each request an instance with room, and starts, freezes and stops instances as `scaling` decides."""

    def __init__(self, blueprint: Blueprint, *, folder: Path, log: Log, random: Random) -> None:
        self.name = blueprint.function
        self.settings = blueprint.settings
        self._blueprint = blueprint
        self._folder = folder
        self._log = log
        self._random = random
        self._limits = scaling.Limits(self.settings.concurrency, self.settings.max_instances, self.settings.idle_s)
        self._instances: dict[int, Instance] = {}
        self._queue: deque[asyncio.Future[Instance]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._now = asyncio.get_running_loop().time
        self._started = 0
        self._starting: set[int] = set()
        self._average_start_s: float | None = None
        self._failed_starts = 0
        self._may_start_at = 0.0
        self._closed = False

    @property
    def instances(self) -> tuple[Instance, ...]:
        return tuple(self._instances.values())

    async def acquire(self) -> Instance:
        """An instance with room for one more request, awake; give it back with `release`.

        Raises NoInstance when the wait was too long, Broken when no instance starts.
        """
        if self._closed or len(self._queue) >= LONGEST_QUEUE:
            raise NoInstance("The request was aborted because there was no available instance.")
        if not self._instances and self._now() < self._may_start_at:
            raise Broken("the last start failed; the next is not due yet")
        place: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        self._look()
        # Nothing is known of a first start, but that it may take so long.
        average_s = START_LIMIT_S if self._average_start_s is None else self._average_start_s
        limit_s = scaling.queue_limit_s(self.settings.queue_s, average_start_s=average_s)
        try:
            async with asyncio.timeout(limit_s):
                return await place
        except BaseException as error:
            self._leave(place)
            if isinstance(error, TimeoutError):
                raise NoInstance("The request was aborted because there was no available instance.") from error
            raise

    def release(self, instance: Instance) -> None:
        """The request is over, whatever became of it."""
        instance.in_flight -= 1
        instance.requests_served += 1
        instance.idle_since = self._now()
        if self._queue or not instance.in_flight:
            self._look()

    async def scale_to_zero(self, *, grace_s: float = GRACE_S) -> None:
        """End all present instances; returns when they are gone."""
        await asyncio.gather(*(each.stop(grace_s=grace_s) for each in self.instances))

    async def close(self, *, grace_s: float) -> None:
        """End everything, for good."""
        self._closed = True
        self._refuse_all(NoInstance("The service is shutting down."))
        if self._timer is not None:
            self._timer.cancel()
        await self.scale_to_zero(grace_s=grace_s)
        await asyncio.gather(*self._tasks)

    def _leave(self, place: asyncio.Future[Instance]) -> None:
        """The request no longer waits, or was given its place in the moment it left."""
        if place in self._queue:
            self._queue.remove(place)
        if place.done() and not place.cancelled() and place.exception() is None:
            self.release(place.result())
        place.cancel()

    def _look(self) -> None:
        """Give places to those who wait, then do what `scaling` decides."""
        self._hand_out()
        if self._closed:
            return
        decision = scaling.decide(
            [self._seen(each) for each in self._instances.values()],
            waiting=len(self._queue),
            may_start_in_s=self._may_start_at - self._now(),
            limits=self._limits,
        )
        for _ in range(decision.start):
            self._launch()
        for key in decision.freeze:
            self._instances[key].freeze()
        for key in decision.stop:
            self._spawn(self._instances[key].stop(grace_s=GRACE_S))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if decision.look_again_s is not None:
            self._timer = asyncio.get_running_loop().call_later(decision.look_again_s, self._look)

    def _hand_out(self) -> None:
        while self._queue:
            free = [e for e in self._instances.values() if scaling.has_room(self._seen(e), self._limits)]
            if not free:
                return
            place = self._queue.popleft()
            if place.done():
                continue
            instance = self._random.choice(free)
            instance.thaw()
            instance.in_flight += 1
            place.set_result(instance)

    def _seen(self, each: Instance) -> scaling.Seen:
        idle_s = 0.0 if each.in_flight else self._now() - each.idle_since
        return scaling.Seen(each.key, each.state, each.in_flight, idle_s)

    def _launch(self) -> None:
        self._started += 1
        folder = self._folder / str(self._started)
        instance = Instance(self._started, self._blueprint, folder=folder, log=self._log, now=self._now())
        self._instances[instance.key] = instance
        self._spawn(self._start(instance))

    async def _start(self, instance: Instance) -> None:
        self._starting.add(instance.key)
        try:
            await instance.start(self._gone)
        except StartFailed as error:
            if not instance.asked_to_end:
                self._start_failed(str(error))
        else:
            self._started_well(instance, took_s=self._now() - instance.started)
        finally:
            self._starting.discard(instance.key)
        self._look()

    def _started_well(self, instance: Instance, *, took_s: float) -> None:
        before_s = took_s if self._average_start_s is None else self._average_start_s
        self._average_start_s = (before_s + took_s) / 2
        self._failed_starts = 0
        if instance.state is scaling.State.STARTING:
            instance.state = scaling.State.SERVING
            instance.idle_since = self._now()
        self._log.event("started", function=self.name, pid=instance.pid, seconds=round(took_s, 3))

    def _start_failed(self, reason: str) -> None:
        self._failed_starts += 1
        self._may_start_at = self._now() + scaling.backoff_s(self._failed_starts)
        self._log.event("start failed", severity="ERROR", function=self.name, reason=reason)
        if all(each.state is scaling.State.STOPPING for each in self._instances.values()):
            self._refuse_all(Broken(reason))

    def _refuse_all(self, error: Exception) -> None:
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_exception(error)

    def _gone(self, instance: Instance) -> None:
        del self._instances[instance.key]
        self._log.event("ended", function=self.name, pid=instance.pid, code=instance.exit_code)
        # Whoever starts it looks on, when it is known whether another start makes sense.
        if instance.key not in self._starting:
            self._look()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
