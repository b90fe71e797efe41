"""What an instance remembers for a while, and asking once when many ask for the same at the same time.

Neither is state: an instance that has lost it asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

from functions.core.errors import BinderError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """Up to *most* values, each until its own end by *clock*; the oldest makes room. Threads may share it."""

    def __init__(self, *, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = Lock()
        # Key -> value, and when it ends.
        self._kept: dict[K, tuple[V, float]] = {}

    def get(self, key: K) -> V | None:
        """The value of *key*, None when there is none any more."""
        with self._lock:
            value, ends = self._kept.get(key, (None, float("-inf")))
        return value if self._clock() < ends else None

    def put(self, key: K, value: V, *, life_s: float) -> None:
        """Remember *value* for *life_s* seconds from now."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = (value, self._clock() + life_s)
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def __len__(self) -> int:
        return len(self._kept)

    def drop(self, key: K) -> None:
        """Forget *key*; unknown is fine."""
        with self._lock:
            self._kept.pop(key, None)


class Flights(Generic[K, V]):
    """Work that is done once for everybody who asks for it while it is being done."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._flights: dict[K, Future[V]] = {}

    def join(self, key: K, work: Callable[[], V]) -> V:
        """The result of *work*, or of the one under *key* that has begun already; its error is everybody's."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                mine = self._flights[key] = Future()
        if flight is not None:
            return flight.result()
        try:
            result = work()
            mine.set_result(result)
            return result
        except BaseException as error:
            mine.set_exception(error.again() if isinstance(error, BinderError) else error)
            raise
        finally:
            with self._lock:
                del self._flights[key]
