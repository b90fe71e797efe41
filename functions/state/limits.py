"""The operator's limits and what is in use, as each instance knows them: a few seconds old at most, while the store
answers."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable
from threading import Lock

from functions.core import limits as nouns
from functions.core.errors import UpstreamError
from functions.core.launch import Launch, Phase
from functions.core.limits import InUse, Limits
from functions.core.ports import Store
from functions.state.expiring import Expiring, Flights
from functions.state.records import Records

log = logging.getLogger(__name__)

KEY = "limits"
LIFE_S = 3.0
# As many servers as are ever counted; a hub with more has no quota that would matter.
MOST_COUNTED = 5000
_MOST_CONFLICTS = 20


class KnownLimits:
    """The limits in *store*, and how many of *launches* hold or are about to get a server. Threads may share it.

    *clock* is monotonic, *now* in seconds since the epoch; *watcher_gone_s* is after how long a launch that waits and
    that nobody watches takes no room.
    """

    def __init__(
        self,
        store: Store,
        launches: Records[Launch],
        clock: Callable[[], float],
        *,
        now: Callable[[], float],
        watcher_gone_s: float,
        life_s: float = LIFE_S,
    ) -> None:
        self._now, self._watcher_gone_s = now, watcher_gone_s
        self._store, self._launches, self._life_s = store, launches, life_s
        self._limits: Expiring[str, Limits] = Expiring(most=1, clock=clock)
        self._in_use: Expiring[str, InUse] = Expiring(most=1, clock=clock)
        self._asking: Flights[str, Limits] = Flights()
        self._counting: Flights[str, InUse] = Flights()
        self._last = Limits()
        self._lock = Lock()
        self._begun: Counter[str] = Counter()

    def now(self) -> Limits:
        """What is permitted. While the store is out, what it said last."""
        return self._limits.get("") or self._asking.join("", lambda: self._limits.get("") or self._asked())

    def in_use(self) -> InUse:
        """Servers that run or are about to, with those begun here since they were counted. Raises UpstreamError."""
        known = self._in_use.get("") or self._counting.join("", lambda: self._in_use.get("") or self._counted())
        with self._lock:
            begun = Counter(self._begun)
        return InUse(known.total + begun.total(), Counter(known.by_repo) + begun)

    def began(self, launch: Launch) -> None:
        """Count *launch*, which this instance has just begun."""
        with self._lock:
            self._begun[launch.repo.repo_url] += 1

    def change(self, change: Callable[[Limits], Limits]) -> Limits:
        """Change the limits for all instances. Raises what *change* raises, UpstreamError for too many writers."""
        for _ in range(_MOST_CONFLICTS):
            known = self._store.get("limits", KEY)
            after = change(nouns.read(known.data) if known else Limits())
            data = dataclasses.asdict(after)
            if known is None and self._store.create_if_absent("limits", KEY, data) is not None:
                return after
            if known is not None and self._store.compare_and_set("limits", KEY, known.version, data) is not None:
                return after
        raise UpstreamError("The store", "has too many writers for the limits.")

    def _asked(self) -> Limits:
        try:
            known = self._store.get("limits", KEY)
            self._last = nouns.read(known.data) if known else Limits()
        except UpstreamError as error:
            log.warning("limits cannot be read", extra={"fields": {"reason": str(error)}})
        self._limits.put("", self._last, life_s=self._life_s)
        return self._last

    def _counted(self) -> InUse:
        with self._lock:
            self._begun.clear()
        launching = (it for it in self._launches.where("open", "yes", limit=MOST_COUNTED) if self._takes_room(it))
        running = self._launches.where("running", "yes", limit=MOST_COUNTED)
        by_repo = Counter(it.repo.repo_url for it in (*launching, *running))
        found = InUse(by_repo.total(), by_repo)
        self._in_use.put("", found, life_s=self._life_s)
        return found

    def _takes_room(self, launch: Launch) -> bool:
        # One that nobody watches gets no server, so it must not keep others from theirs.
        watched = self._now() - launch.last_seen_at <= self._watcher_gone_s
        return not launch.build_only and (launch.phase is Phase.LAUNCHING or watched)
