"""Records as Firestore documents: names, fields and versions. No calls, and nothing of Google's is imported.

A document holds its record's data as JSON text, which no index sees, so that Firestore's rules for field names, nesting
and numbers do not become ours. Beside it are the fields that can be queried, and what the store itself needs:

    data        the record, as JSON
    key         its key, since a long one is not in the document's name
    writes      the ids of the last writes, newest first
    expires_at  when Firestore's TTL policy may delete it, if ever

https://firebase.google.com/docs/firestore/quotas
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.core.ports import EXPIRES_ON, INDEXED_FIELDS, Document

DATA, KEY, WRITES, EXPIRES_AT = "data", "key", "writes", "expires_at"
OWN_FIELDS = (DATA, KEY, WRITES)
# Firestore takes 1,500 bytes for an id and for an indexed value; the hash of a longer one has to fit in, too.
LONGEST = 1400
# A write is retried for seconds only, in which others can hardly have written more often than this.
KNOWN_WRITES = 4
# Each stands where the sign that it replaces stood in the order, so ids are in the order of their keys.
_ESCAPES = str.maketrans({"\0": "\1\1", "\1": "\1\2", ".": ".-", "/": ".."})


@dataclass(frozen=True, slots=True)
class Version:
    """When a document was last written, as Firestore tells it, and the ids of its last writes, newest first."""

    seconds: int
    nanos: int
    writes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.seconds}.{self.nanos:09d} {' '.join(self.writes)}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """The version that `str` has written."""
        time, *writes = text.split()
        seconds, nanos = time.split(".")
        return cls(int(seconds), int(nanos), tuple(writes))

    @property
    def precondition(self) -> Mapping[str, Any]:
        """What makes Firestore refuse to write when the document is not this one any more."""
        return {"update_time": {"seconds": self.seconds, "nanos": self.nanos}}


def document_id(key: str) -> str:
    """The id of the document for *key*. Ids are in the order of their keys, but for very long ones that begin alike.

    The sign in front keeps clear of what no id may be: empty, `.`, `..` and `__...__`.
    """
    return "=" + _fitting(key.translate(_ESCAPES))


def fields(kind: str, key: str, text: str, data: Mapping[str, Any], writes: tuple[str, ...]) -> dict[str, Any]:
    """The fields of the document that holds *data*, whose JSON is *text*."""
    found: dict[str, Any] = {
        DATA: {"string_value": text},
        KEY: {"string_value": key},
        WRITES: {"array_value": {"values": [{"string_value": write} for write in writes]}},
    }
    for name in INDEXED_FIELDS.get(kind, ()):
        if isinstance(data.get(name), str):
            found[name] = {"string_value": indexed(data[name])}
    if EXPIRES_ON in found:
        found[EXPIRES_AT] = {"timestamp_value": _end_of(data[EXPIRES_ON])}
    return found


def indexed(value: str) -> str:
    """What stands for *value* in an index: Firestore would cut a long one off and take it for others like it."""
    return _fitting(value)


def record(document: Any) -> Document:
    """The record in *document*, a message of google.firestore.v1."""
    held = document.fields
    return Document(held[KEY].string_value, json.loads(held[DATA].string_value), str(version(document)))


def version(document: Any) -> Version:
    """The version of *document*, a message of google.firestore.v1."""
    writes = tuple(value.string_value for value in document.fields[WRITES].array_value.values)
    return Version(document.update_time.seconds, document.update_time.nanos, writes)


def declared() -> dict[str, Any]:
    """What the database has to be told of each collection, as terraform/firestore.yaml says it."""
    return {
        kind: {
            "indexed": list(names),
            "not_indexed": [*OWN_FIELDS, *([EXPIRES_AT] if EXPIRES_ON in names else [])],
            "ttl": EXPIRES_AT if EXPIRES_ON in names else None,
        }
        for kind, names in INDEXED_FIELDS.items()
    }


def _fitting(text: str) -> str:
    data = text.encode()
    if len(data) <= LONGEST:
        return text
    # Longer than any text that fits, so it never stands for one of those.
    return data[:LONGEST].decode(errors="ignore") + hashlib.sha256(data).hexdigest()


def _end_of(day: str) -> dict[str, int]:
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
    return {"seconds": int(end.timestamp())}
