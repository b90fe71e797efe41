"""A Store whose caller meets its end, or an error, at one of its writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from functions.core.ports import Document, Store
from tests.fakes.store import Died


class MortalStore:
    """Passes everything on to *store*. `writes` are all writes that were asked for: verb, kind and key.

    At write number *fails_at*, from 1, *failure* is called and what it returns is raised: before the write is done, or
    after it. 0: at none. Nobody dies twice: what is asked for later is done.
    """

    def __init__(
        self,
        store: Store,
        *,
        fails_at: int = 0,
        when: Literal["before", "after"] = "before",
        failure: Callable[[], BaseException | None] = Died,
    ) -> None:
        self.writes: list[tuple[str, str, str]] = []
        self._store, self._fails_at, self._when, self._failure = store, fails_at, when, failure

    def create_if_absent(self, kind: str, key: str, data: Mapping[str, Any]) -> Document | None:
        number = self._begin("create", kind, key)
        return self._end(number, self._store.create_if_absent(kind, key, data))

    def get(self, kind: str, key: str) -> Document | None:
        return self._store.get(kind, key)

    def compare_and_set(self, kind: str, key: str, version: str, data: Mapping[str, Any]) -> Document | None:
        number = self._begin("change", kind, key)
        return self._end(number, self._store.compare_and_set(kind, key, version, data))

    def query(self, kind: str, field: str, value: str, *, limit: int = 1000, after: str = "") -> Sequence[Document]:
        return self._store.query(kind, field, value, limit=limit, after=after)

    def delete(self, kind: str, key: str) -> None:
        number = self._begin("delete", kind, key)
        self._store.delete(kind, key)
        self._end(number, None)

    def _begin(self, verb: str, kind: str, key: str) -> int:
        self.writes.append((verb, kind, key))
        number = len(self.writes)
        if self._when == "before":
            self._meet(number)
        return number

    def _end(self, number: int, answer: Document | None) -> Document | None:
        if self._when == "after":
            self._meet(number)
        return answer

    def _meet(self, number: int) -> None:
        failure = self._failure() if number == self._fails_at else None
        if failure:
            raise failure
