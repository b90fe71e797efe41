"""The hub's places as each instance knows them: one look into the store every few seconds, however many wait."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Lock

from functions.core.errors import UpstreamError
from functions.core.launch import Launch, Phase
from functions.core.limits import InUse, Limits
from functions.core.places import GO, Places, Turn, places, repository, roomy
from functions.state.expiring import Flights
from functions.state.records import Records

log = logging.getLogger(__name__)

LIFE_S = 3.0
# As many launches as are ever counted; a hub with more has no quota that would matter.
MOST_COUNTED = 5000
_MOST_LOOKS = 3


class KnownPlaces:
    """The places that *launches* have and wait for, under the *limits* of the moment. Threads may share it.

    *clock* is monotonic, *now* in seconds since the epoch; *watcher_gone_s* is after how long a launch that waits and
    that nobody watches takes no room.
    """

    def __init__(
        self,
        launches: Records[Launch],
        limits: Callable[[], Limits],
        clock: Callable[[], float],
        *,
        now: Callable[[], float],
        watcher_gone_s: float,
        life_s: float = LIFE_S,
    ) -> None:
        self._launches, self._limits, self._clock, self._now = launches, limits, clock, now
        self._watcher_gone_s, self._life_s = watcher_gone_s, life_s
        self._looking: Flights[str, Places] = Flights()
        self._lock = Lock()
        self._seen: Places | None = None
        self._good_until = float("-inf")
        # Launches that this instance has begun since it looked: id -> repository.
        self._arrived: dict[str, str] = {}

    def seen(self) -> Places:
        """The places as of a few seconds ago at most; while the store is out, as they were.

        Raises UpstreamError when it has never answered.
        """
        known = self._fresh()
        return known or self._looking.join("", lambda: self._fresh() or self._look())

    def in_use(self) -> InUse:
        """Servers that run or are about to, and launches that will want one, those begun here since included."""
        seen = self.seen()
        with self._lock:
            arrived = [*self._arrived.values()]
        by_repo = {**seen.taken.by_repo}
        for repo, count in (*seen.waiting.by_repo.items(), *((repo, 1) for repo in arrived)):
            by_repo[repo] = by_repo.get(repo, 0) + count
        return InUse(seen.taken.total + seen.waiting.total + len(arrived), by_repo)

    def arrived(self, launch: Launch) -> None:
        """Count *launch*, which this instance has just begun."""
        if not launch.build_only and self._limits().counts:
            with self._lock:
                self._arrived[launch.id] = repository(launch)

    def turn(self, launch: Launch) -> Turn:
        """Whether *launch*, whose image is there, may have a server now.

        It may as well go on when others have moved it meanwhile: then there is something else to do.
        """
        limits = self._limits()
        if not limits.counts:
            return GO
        seen = self.seen()
        known = seen.turns.get(launch.id)
        if known is not None:
            return known
        moved = seen.known.get(launch.id) is not launch.phase and seen.at > max(launch.queued_at, launch.created_at)
        arrived = self._arrived_with(launch, seen)
        if moved or roomy(seen, limits, launch, arrived):
            return GO
        return Turn(now=False, ahead=sum(not it.now for it in seen.turns.values()))

    def holds(self, launch: Launch) -> bool:
        """Whether *launch*, which has written down that it takes a place, was among the first to do so."""
        if not self._limits().counts:
            return True
        seen = self.seen()
        for _ in range(_MOST_LOOKS):
            if seen.known.get(launch.id) is Phase.LAUNCHING:
                return launch.id not in seen.late
            # Seen before it was written down; and so may be what another thread is just looking at.
            seen = self._looking.join("", self._look)
        return True

    def _arrived_with(self, launch: Launch, seen: Places) -> Mapping[str, str]:
        with self._lock:
            arrived = dict(self._arrived)
        return arrived if launch.id in seen.known else arrived | {launch.id: repository(launch)}

    def _fresh(self) -> Places | None:
        return self._seen if self._clock() < self._good_until else None

    def _look(self) -> Places:
        with self._lock:
            before = set(self._arrived)
        try:
            seen = places(
                self._launches.where("open", "yes", limit=MOST_COUNTED),
                self._launches.where("running", "yes", limit=MOST_COUNTED),
                self._limits(),
                now=self._now(),
                watcher_gone_s=self._watcher_gone_s,
            )
        except UpstreamError as error:
            if self._seen is None:
                raise
            log.warning("places cannot be counted", extra={"fields": {"reason": str(error)}})
            seen = self._seen
        else:
            with self._lock:
                for launch_id in before:
                    self._arrived.pop(launch_id, None)
        self._seen, self._good_until = seen, self._clock() + self._life_s
        return seen
