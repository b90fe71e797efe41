"""How often senders have asked, as all instances count it together: a record for each sender and window."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, TypeVar

from functions.core import rates
from functions.core.errors import RateExceeded, UpstreamError
from functions.core.ports import EXPIRES_ON, Store
from functions.core.rates import Rate, Share, Standing, Window
from functions.state.expiring import Expiring
from functions.state.retention import expires_on

log = logging.getLogger(__name__)

T = TypeVar("T")

KIND = "rate"
MOST_SENDERS = 10_000
# While the store is out nobody is refused, and nobody waits for it more often than that.
OUT_S = 3.0
_LOCKS = 64
_MOST_CONFLICTS = 20


class Rates:
    """Counts requests of senders in *store*. Threads may share it; *now* is in seconds since the epoch.

    *secret* keys the names of the records, so that addresses are not among what is stored.
    """

    def __init__(self, store: Store, now: Callable[[], float], *, secret: str) -> None:
        self._store, self._now, self._secret = store, now, secret
        self._shares: Expiring[str, Share] = Expiring(most=MOST_SENDERS, clock=now)
        # One request of a sender takes for those that come with it; others' senders are seldom kept waiting.
        self._locks = [Lock() for _ in range(_LOCKS)]
        self._out_until = 0.0

    def count(self, sender: str, rate: Rate) -> Standing | None:
        """Let a request of *sender* pass, and say where that leaves it; None while the store is out.

        Raises RateExceeded for one too many.
        """
        key = rates.record_key(self._secret, sender)
        with self._locks[int(key[:8], 16) % _LOCKS]:
            share = self._known(key, rate)
            if share is None or not (share.usable(rate) or share.spent(rate)):
                share = self._asked(lambda: self._taken(key, rate))
            if share is None:
                return None
            allowed = share.usable(rate)
            share = share.used() if allowed else share
            self._shares.put(key, share, life_s=rate.period_s)
        if not allowed:
            raise self._exceeded(share, rate)
        return rates.standing(share, rate)

    def check(self, sender: str, rate: Rate) -> None:
        """Raise RateExceeded when `count` would, and count nothing."""
        key = rates.record_key(self._secret, sender)
        share = self._known(key, rate)
        if share is None or not share.spent(rate):
            window = self._asked(lambda: self._window(key)[0])
            share = None if window is None or window.over(rate, now=self._now()) else Share(window)
        if share is not None and share.spent(rate):
            raise self._exceeded(share, rate)

    def _known(self, key: str, rate: Rate) -> Share | None:
        share = self._shares.get(key)
        return None if share is None or share.window.over(rate, now=self._now()) else share

    def _asked(self, ask: Callable[[], T]) -> T | None:
        if self._now() < self._out_until:
            return None
        try:
            return ask()
        except UpstreamError as error:
            self._out_until = self._now() + OUT_S
            log.warning("requests are not counted", extra={"fields": {"reason": str(error)}})
            return None

    def _taken(self, key: str, rate: Rate) -> Share | None:
        for _ in range(_MOST_CONFLICTS):
            window, version = self._window(key)
            mine = rates.take(window, rate, now=self._now())
            if not mine.unused or self._written(key, version, mine.window, rate):
                return mine
        log.warning("requests of one sender are not counted: too many writers")
        return None

    def _window(self, key: str) -> tuple[Window | None, str]:
        document = self._store.get(KIND, key)
        return (None, "") if document is None else (_read(document.data), document.version)

    def _written(self, key: str, version: str, window: Window, rate: Rate) -> bool:
        last_day = expires_on(window.began_at, keep_s=rate.period_s)
        data = {**dataclasses.asdict(window), EXPIRES_ON: last_day}
        if version:
            return self._store.compare_and_set(KIND, key, version, data) is not None
        return self._store.create_if_absent(KIND, key, data) is not None

    def _exceeded(self, share: Share, rate: Rate) -> RateExceeded:
        wait_s = rates.retry_after_s(share, rate, now=self._now())
        return RateExceeded(retry_after_s=wait_s, limit=rate.limit, resets_at=rates.standing(share, rate).resets_at)


def _read(data: Mapping[str, Any]) -> Window:
    return Window(**{name: data[name] for name in Window.__dataclass_fields__})
