"""Objects on disk, so that they survive a restart; written behind the requests, in batches.

A batch is one transaction: after a crash the disk holds the cluster as it was some hundredths of a second earlier,
never half a change.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from emulator.kube.objects import Object
from emulator.kube.store import Change, Key

log = logging.getLogger(__name__)

SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS objects (
  resource TEXT, namespace TEXT, name TEXT, object TEXT NOT NULL,
  PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS newest (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
COMMIT;
"""


class StateInUse(Exception):
    """Another server has this state folder open."""


class Journal:
    """The file. Only one process can have it open."""

    def __init__(self, path: Path) -> None:
        # Secrets are among the objects; the files that SQLite lays beside this one take its mode.
        path.touch(mode=0o600)
        path.chmod(0o600)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.2)
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("PRAGMA cache_size = -512")
            self._database.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            self._database.close()
            raise StateInUse(f"{path}: {error}") from error

    def load(self) -> list[tuple[Key, Object]]:
        """Return every object that was stored."""
        rows = self._database.execute("SELECT resource, namespace, name, object FROM objects")
        return [(Key(*place), json.loads(text)) for *place, text in rows]

    def newest_version(self) -> int:
        """Return the version of the last change that was stored, a removal included."""
        row = self._database.execute("SELECT version FROM newest").fetchone()
        return int(row[0]) if row else 0

    def write(self, batch: Mapping[Key, Object | None], *, version: int) -> None:
        """Store objects, and remove those that are None, all or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for key, obj in batch.items():
                if obj is None:
                    self._database.execute("DELETE FROM objects WHERE (resource, namespace, name) = (?, ?, ?)", key)
                else:
                    self._database.execute("REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, json.dumps(obj)))
            self._database.execute("REPLACE INTO newest VALUES (1, ?)", (version,))
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._database.close()


class Writer:
    """Collects changes and writes them behind the requests."""

    def __init__(self, journal: Journal, *, delay_s: float = 0.03, retry_s: float = 1.0) -> None:
        self._journal = journal
        self._delay_s, self._retry_s = delay_s, retry_s
        self._pending: dict[Key, Object | None] = {}
        self._version = 0
        self._changed = asyncio.Event()

    def note(self, change: Change) -> None:
        """Remember a change for the next batch."""
        self._version = change.version
        self._pending[change.key] = None if change.type == "DELETED" else change.object
        self._changed.set()

    async def run(self) -> None:
        """Write batches until cancelled; a disk that is full is tried again."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._delay_s)
            self._changed.clear()
            await self._write()

    async def _write(self) -> None:
        batch, self._pending = self._pending, {}
        writing = asyncio.ensure_future(asyncio.to_thread(self._journal.write, batch, version=self._version))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # A batch that was taken is written before the server stops, and before what came after it.
            await asyncio.wait((writing,))
            if writing.exception():
                self._pending = batch | self._pending
            raise
        except sqlite3.Error as error:
            log.error("cannot write the state, trying again: %s", error)
            self._pending = batch | self._pending
            self._changed.set()
            await asyncio.sleep(self._retry_s)

    def close(self) -> None:
        """Write what is left and close the file. `run` must have ended."""
        if self._pending:
            self._journal.write(self._pending, version=self._version)
        self._journal.close()
