"""How many servers this instance may ask the Hub for, once the Hub has said that it is starting as many as it can."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from functions.core.errors import RateLimited
from functions.core.launch import Launch, Phase
from functions.core.places import GO, Turn
from functions.state.places import KnownPlaces

# Requests for servers are so far apart that a refusal of one is heard before hundreds have followed it.
APART_S = 0.02
# For so long after a refusal, launches ask in their order.
CAREFUL_S = 120.0


class HubGate:
    """Lets launches ask the Hub for their servers; in order, and no more than have a chance, after it has refused one.

    JupyterHub refuses a start while `concurrent_spawn_limit` others are pending, and names a time that differs from
    refusal to refusal, so that clients who do not know of each other come back one by one
    (https://jupyterhub.readthedocs.io/en/stable/reference/api/app.html, `spawn_throttle_retry_range`). Ours know of
    each other: when one of our starts has ended, the next in order may ask; who is ahead asks in any case after the
    time that was named, and twice as many each time that goes well. Threads may share it; *clock* is monotonic, *now*
    in seconds since the epoch.
    """

    def __init__(
        self,
        places: KnownPlaces,
        clock: Callable[[], float],
        *,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._places, self._clock, self._now, self._sleep = places, clock, now, sleep
        self._lock = Lock()
        self._refusals, self._next_at = 0, float("-inf")
        self._careful_until = self._again_at = float("-inf")
        self._refused_at = 0.0
        # How many the Hub starts at once, as far as was seen; and how many may try whether it takes more.
        self._limit, self._probes = 0, 1

    def turn(self, launch: Launch) -> Turn:
        """Whether the Hub may be asked for the server of *launch*, and how many are before it. Raises UpstreamError
        when the store does not say who they are."""
        if self._clock() >= self._careful_until:
            return GO
        seen = self._places.seen()
        own = seen.starts.get(launch.id)
        if own is None and seen.at > launch.named_at and seen.known.get(launch.id) is not Phase.LAUNCHING:
            # Others have moved it meanwhile, so there is something else to do.
            return GO
        # Who had left when this was seen, and has come back, comes last until the next look.
        own = own or Turn(now=False, ahead=len(seen.starts))
        with self._lock:
            # What was seen before the refusal says nothing of the places that are left.
            if seen.at <= self._refused_at:
                return own
            self._limit = max(self._limit, seen.starting)
            room = self._limit - seen.starting
            if self._clock() >= self._again_at:
                room = max(room, self._probes)
        return GO if own.ahead < room else own

    def ask(self, start: Callable[[], None]) -> bool:
        """Ask the Hub by *start*, after a moment if others are just asking; False when it is busy.

        Raises what *start* raises otherwise.
        """
        if not self._await_turn():
            return False
        try:
            start()
        except RateLimited as error:
            self._refused(error.retry_after_s)
            return False
        with self._lock:
            if self._clock() >= self._again_at:
                self._probes *= 2
        return True

    def _await_turn(self) -> bool:
        with self._lock:
            before, now = self._refusals, self._clock()
            at = max(now, self._next_at)
            self._next_at = at + APART_S
        if at > now:
            self._sleep(at - now)
        return self._refusals == before

    def _refused(self, retry_after_s: float) -> None:
        with self._lock:
            self._refusals += 1
            self._refused_at, self._probes = self._now(), 1
            self._limit = self._limit * 9 // 10
            self._again_at = self._clock() + retry_after_s
            self._careful_until = self._again_at + CAREFUL_S
