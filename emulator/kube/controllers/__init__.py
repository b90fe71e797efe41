"""The controllers: each looks at one kind of thing and brings it closer to what was asked for.

A controller says which keys a change makes worth a look (`concerns`), and looks at one key at a time (`reconcile`),
synchronously, over the store. So no controller ever sees half of another's work.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Protocol

from emulator.kube.cluster import Cluster
from emulator.kube.store import Change, Key

log = logging.getLogger(__name__)

RETRY_S = 1.0
# So many keys are looked at before requests get their turn again.
AT_ONCE = 50


class Controller(Protocol):
    """What the loop asks of a controller."""

    def concerns(self, change: Change) -> Iterable[Key]:
        """Return the keys that a change makes worth a look."""
        ...

    def start(self) -> Iterable[Key]:
        """Return the keys to look at when the server starts."""
        ...

    def reconcile(self, key: Key) -> datetime | None:
        """Bring one thing closer to what was asked for; return when to look again, if time alone may change it."""
        ...


class Loop:
    """Runs controllers over the changes of a store."""

    def __init__(self, cluster: Cluster, controllers: Sequence[Controller]) -> None:
        self._cluster = cluster
        self._controllers = controllers
        # Dictionaries keep the order, and a key that is already waiting is not queued twice.
        self._queue: dict[tuple[int, Key], None] = {}
        self._later: list[tuple[datetime, int, tuple[int, Key]]] = []
        self._tick = count()
        self._wake = asyncio.Event()
        cluster.store.listen(self._note)
        for index, controller in enumerate(controllers):
            self._queue |= {(index, key): None for key in controller.start()}

    def _note(self, change: Change) -> None:
        for index, controller in enumerate(self._controllers):
            for key in controller.concerns(change):
                self._queue[index, key] = None
        self._wake.set()

    async def run(self) -> None:
        """Look at what is due, until cancelled."""
        while True:
            self._take_due()
            for _ in range(min(AT_ONCE, len(self._queue))):
                self._look(next(iter(self._queue)))
            if self._queue:
                await asyncio.sleep(0)
                continue
            self._wake.clear()
            await self._pause()

    def _take_due(self) -> None:
        now = self._cluster.now()
        while self._later and self._later[0][0] <= now:
            self._queue[heapq.heappop(self._later)[2]] = None

    def _look(self, place: tuple[int, Key]) -> None:
        del self._queue[place]
        index, key = place
        try:
            again_at = self._controllers[index].reconcile(key)
        except Exception:
            # One object that a controller stumbles over must not stop the cluster.
            log.exception("%s of %s", type(self._controllers[index]).__name__, key)
            asyncio.get_running_loop().call_later(RETRY_S, self._retry, place)
            return
        if again_at is not None:
            heapq.heappush(self._later, (again_at, next(self._tick), place))

    def _retry(self, place: tuple[int, Key]) -> None:
        self._queue[place] = None
        self._wake.set()

    async def _pause(self) -> None:
        timeout_s = None
        if self._later:
            timeout_s = max((self._later[0][0] - self._cluster.now()).total_seconds(), 0.001)
        try:
            await asyncio.wait_for(self._wake.wait(), timeout_s)
        except TimeoutError:
            return
