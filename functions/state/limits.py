"""The operator's limits as each instance knows them: a few seconds old at most, while the store answers."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

from functions.core import limits as nouns
from functions.core.errors import UpstreamError
from functions.core.limits import Limits
from functions.core.ports import Store
from functions.state.expiring import Expiring, Flights

log = logging.getLogger(__name__)

KEY = "limits"
LIFE_S = 3.0
_MOST_CONFLICTS = 20


class KnownLimits:
    """The limits in *store*. Threads may share it; *clock* is monotonic."""

    def __init__(self, store: Store, clock: Callable[[], float], *, life_s: float = LIFE_S) -> None:
        self._store, self._life_s = store, life_s
        self._limits: Expiring[str, Limits] = Expiring(most=1, clock=clock)
        self._asking: Flights[str, Limits] = Flights()
        self._last: Limits | None = None

    def now(self) -> Limits:
        """What is permitted. While the store is out, what it said last."""
        return self._limits.get("") or self._asking.join("", lambda: self._limits.get("") or self._asked())

    def stored(self) -> Limits:
        """What the store has at this moment. Raises UpstreamError when it does not answer."""
        known = self._store.get("limits", KEY)
        return nouns.read(known.data) if known else Limits()

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
            self._last = self.stored()
        except UpstreamError as error:
            log.warning("limits cannot be read", extra={"fields": {"reason": str(error)}})
            if self._last is None:
                # Not remembered: a ban must not be lifted for longer than this one question.
                return Limits()
        self._limits.put("", self._last, life_s=self._life_s)
        return self._last
