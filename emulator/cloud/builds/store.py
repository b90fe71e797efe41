"""Builds on disk, so that they outlive the process: what the API says of each, and what its execution must remember."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.cloud.builds.messages import TERMINAL, Build

_SCHEMA = """
CREATE TABLE IF NOT EXISTS build (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    location TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    build TEXT NOT NULL,
    asked TEXT NOT NULL,
    progress TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS build_location ON build (location, number);
CREATE INDEX IF NOT EXISTS build_ended ON build (ended, number);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A build as the API shows it, the request it was made of, and how far its execution came."""

    number: int
    location: str
    build: Build
    asked: Build
    progress: Mapping[str, Any] = field(default_factory=dict)


class Store:
    """The table; every method is one statement."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def add(self, location: str, build: Build, asked: Build) -> None:
        self._db.execute(
            "INSERT INTO build (id, location, build, asked) VALUES (?, ?, ?, ?)",
            (build["id"], location, json.dumps(build), json.dumps(asked)),
        )

    def change(self, build: Build) -> None:
        """Write what the API says of a build from now on."""
        ended = build["status"] in TERMINAL
        self._db.execute("UPDATE build SET build = ?, ended = ? WHERE id = ?", (json.dumps(build), ended, build["id"]))

    def remember(self, build_id: str, progress: Mapping[str, Any]) -> None:
        self._db.execute("UPDATE build SET progress = ? WHERE id = ?", (json.dumps(progress), build_id))

    def get(self, build_id: str) -> Stored | None:
        return next(self._select("WHERE id = ?", build_id), None)

    def newest(self, location: str, *, before: int) -> Iterator[Stored]:
        """The builds of *location* with a smaller number than *before*, the newest first."""
        return self._select("WHERE location = ? AND number < ? ORDER BY number DESC", location, before)

    def unfinished(self) -> list[Stored]:
        """The builds that have not ended, the oldest first."""
        return list(self._select("WHERE ended = 0 ORDER BY number"))

    def count_open(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM build WHERE ended = 0").fetchone()[0])

    def forget(self, *, keep: int) -> list[Build]:
        """Remove all but the *keep* newest builds that have ended; returns the removed."""
        oldest_kept = "SELECT number FROM build WHERE ended = 1 ORDER BY number DESC LIMIT 1 OFFSET ?"
        query = f"WHERE ended = 1 AND number <= ({oldest_kept})"
        gone = [stored.build for stored in self._select(query, keep)]
        self._db.executemany("DELETE FROM build WHERE id = ?", [(build["id"],) for build in gone])
        return gone

    def _select(self, where: str, *values: Any) -> Iterator[Stored]:
        for row in self._db.execute(f"SELECT number, location, build, asked, progress FROM build {where}", values):
            build, asked, progress = map(json.loads, row[2:])
            yield Stored(number=row[0], location=row[1], build=build, asked=asked, progress=progress)
