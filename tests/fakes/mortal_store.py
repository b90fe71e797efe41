"""A Store whose caller dies at one of its writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from functions.core.ports import Document, Store
from tests.fakes.store import Died


class MortalStore:
    """Passes everything on to *store*. `writes` are all writes that were asked for: verb, kind and key.

    The instance that asks for write number *dies_at*, from 1, dies before or after it is done; 0: it lives. Nobody dies
    twice: what is asked for later is done.
    """

    def __init__(self, store: Store, *, dies_at: int = 0, when: Literal["before", "after"] = "before") -> None:
        self.writes: list[tuple[str, str, str]] = []
        self._store, self._dies_at, self._when = store, dies_at, when

    def create_if_absent(self, kind: str, key: str, data: Mapping[str, Any]) -> Document | None:
        self._write("create", kind, key)
        return self._done(self._store.create_if_absent(kind, key, data))

    def get(self, kind: str, key: str) -> Document | None:
        return self._store.get(kind, key)

    def compare_and_set(self, kind: str, key: str, version: str, data: Mapping[str, Any]) -> Document | None:
        self._write("change", kind, key)
        return self._done(self._store.compare_and_set(kind, key, version, data))

    def query(self, kind: str, field: str, value: str, *, limit: int = 1000, after: str = "") -> Sequence[Document]:
        return self._store.query(kind, field, value, limit=limit, after=after)

    def delete(self, kind: str, key: str) -> None:
        self._write("delete", kind, key)
        self._store.delete(kind, key)
        self._done(None)

    def _write(self, verb: str, kind: str, key: str) -> None:
        self.writes.append((verb, kind, key))
        if self._when == "before" and len(self.writes) == self._dies_at:
            raise Died

    def _done(self, answer: Document | None) -> Document | None:
        if self._when == "after" and len(self.writes) == self._dies_at:
            raise Died
        return answer
