"""A Store in a dictionary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from threading import Lock
from typing import Any

from functions.adapters.stores.text import dump
from functions.core.ports import INDEXED_FIELDS, Document


class Died(BaseException):
    """The end of an instance that nothing can catch."""


class FakeStore:
    """Keeps records in memory; `queries` is every query that was asked, `got` the kind of every record that was read,
    `deletions` every key that was to go.

    `calls_left` is after how many calls the instance that calls dies; None: it lives. `meanwhile` is what somebody else
    does before the answer to a query arrives, one for each query.
    """

    def __init__(self) -> None:
        self.calls_left: int | None = None
        self.meanwhile: list[Callable[[], object]] = []
        self.queries: list[tuple[str, str, str]] = []
        self.got: list[str] = []
        self.deletions: list[str] = []
        self._records: dict[tuple[str, str], tuple[str, str]] = {}
        self._versions = count(1)
        self._lock = Lock()

    def create_if_absent(self, kind: str, key: str, data: Mapping[str, Any]) -> Document | None:
        self._call()
        with self._lock:
            return None if (kind, key) in self._records else self._put(kind, key, data)

    def get(self, kind: str, key: str) -> Document | None:
        self._call()
        self.got.append(kind)
        with self._lock:
            record = self._records.get((kind, key))
        return record and _document(key, record)

    def compare_and_set(self, kind: str, key: str, version: str, data: Mapping[str, Any]) -> Document | None:
        self._call()
        with self._lock:
            record = self._records.get((kind, key))
            return self._put(kind, key, data) if record and record[0] == version else None

    def query(self, kind: str, field: str, value: str, *, limit: int = 1000, after: str = "") -> Sequence[Document]:
        if field not in INDEXED_FIELDS.get(kind, ()):
            raise ValueError(f"{kind}.{field} is not one of INDEXED_FIELDS")
        self._call()
        self.queries.append((kind, field, value))
        with self._lock:
            records = [_document(key, record) for (k, key), record in sorted(self._records.items()) if k == kind]
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return [document for document in records if document.data.get(field) == value and document.key > after][:limit]

    def delete(self, kind: str, key: str) -> None:
        self._call()
        self.deletions.append(key)
        with self._lock:
            self._records.pop((kind, key), None)

    def everything(self) -> dict[tuple[str, str], tuple[str, str]]:
        """All records, to be compared."""
        return dict(self._records)

    def _call(self) -> None:
        if self.calls_left is not None:
            if self.calls_left == 0:
                raise Died
            self.calls_left -= 1

    def _put(self, kind: str, key: str, data: Mapping[str, Any]) -> Document:
        # Text, not the mapping itself: what a caller changes later is not stored.
        self._records[kind, key] = record = (f"v{next(self._versions)}", dump(data))
        return _document(key, record)


def _document(key: str, record: tuple[str, str]) -> Document:
    version, text = record
    return Document(key, json.loads(text), version)
