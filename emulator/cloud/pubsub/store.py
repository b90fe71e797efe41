"""Topics, subscriptions and undelivered messages on disk, so that they outlive the process.

A message waiting for a subscription is one row: when it is due, and how often it was tried. A lease is a due time in
the future, so there is nothing to repair after a crash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription TEXT NOT NULL,
    published REAL NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    message BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (subscription, due);
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of a message on its way to one subscription; *message* is a serialized PubsubMessage."""

    id: int
    attempts: int
    message: bytes


@dataclass(frozen=True, slots=True)
class NewDelivery:
    subscription: str
    published: float
    due: float
    message: bytes


class Store:
    """The tables; every method is one statement, `transaction` makes several of them one."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        # A commit survives a crash of this process, which is all that is promised; the disk may lag behind.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; not to be nested."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def save(self, name: str, body: bytes) -> None:
        """Write the resource *name*, new or not."""
        self._db.execute("INSERT OR REPLACE INTO resource VALUES (?, ?)", (name, body))

    def delete(self, name: str) -> None:
        """Forget the resource *name* and what waits for it."""
        self._db.execute("DELETE FROM resource WHERE name = ?", (name,))
        self._db.execute("DELETE FROM delivery WHERE subscription = ?", (name,))

    def resources(self) -> list[tuple[str, bytes]]:
        return self._db.execute("SELECT name, body FROM resource ORDER BY name").fetchall()

    def add(self, deliveries: Iterable[NewDelivery]) -> None:
        rows = ((each.subscription, each.published, each.due, each.message) for each in deliveries)
        self._db.executemany("INSERT INTO delivery (subscription, published, due, message) VALUES (?, ?, ?, ?)", rows)

    def due(self, subscription: str, now: float, limit: int) -> list[Delivery]:
        """What is due, the longest waiting first."""
        rows = self._db.execute(
            "SELECT id, attempts, message FROM delivery WHERE subscription = ? AND due <= ? ORDER BY due, id LIMIT ?",
            (subscription, now, limit),
        )
        return [Delivery(*row) for row in rows]

    def next_due(self, subscription: str) -> float | None:
        """When something is due next; None when nothing waits."""
        query = "SELECT min(due) FROM delivery WHERE subscription = ?"
        due: float | None = self._db.execute(query, (subscription,)).fetchone()[0]
        return due

    def find(self, subscription: str, delivery_id: int) -> Delivery | None:
        query = "SELECT id, attempts, message FROM delivery WHERE id = ? AND subscription = ?"
        row = self._db.execute(query, (delivery_id, subscription)).fetchone()
        return Delivery(*row) if row else None

    def postpone(self, delivery_id: int, *, due: float, attempts: int) -> None:
        self._db.execute("UPDATE delivery SET due = ?, attempts = ? WHERE id = ?", (due, attempts, delivery_id))

    def remove(self, subscription: str, delivery_ids: Sequence[int]) -> None:
        rows = ((each, subscription) for each in delivery_ids)
        self._db.executemany("DELETE FROM delivery WHERE id = ? AND subscription = ?", rows)

    def expire(self, subscription: str, *, published_before: float) -> None:
        query = "DELETE FROM delivery WHERE subscription = ? AND published < ?"
        self._db.execute(query, (subscription, published_before))

    def release_all(self) -> None:
        """Make everything due: after a restart nobody holds a lease."""
        self._db.execute("UPDATE delivery SET due = 0")
