"""The store of one machine: a SQLite file that several processes share.

Every verb is one statement, so it is atomic without a transaction held open: an instance that is frozen or
killed between two calls leaves no lock behind. In WAL mode readers never wait for the writer.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import LifoQueue
from tempfile import TemporaryDirectory
from typing import Any

from functions.adapters.stores.text import dump
from functions.core.errors import UpstreamError, UpstreamTimeout
from functions.core.ports import INDEXED_FIELDS, Document

# A version is random rather than counted, so that a record deleted and made again never has an old one.
_NEW_VERSION = "lower(hex(randomblob(8)))"

_TABLE = """
CREATE TABLE IF NOT EXISTS record (
    kind TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (kind, key)
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS record_{field} ON record (json_extract(data, '$.{field}'), kind, key)"
_CREATE = (
    f"INSERT INTO record (kind, key, version, data) VALUES (?, ?, {_NEW_VERSION}, ?)"
    " ON CONFLICT DO NOTHING RETURNING key, data, version"
)
_GET = "SELECT key, data, version FROM record WHERE kind = ? AND key = ?"
_REPLACE = (
    f"UPDATE record SET data = ?, version = {_NEW_VERSION} WHERE kind = ? AND key = ? AND version = ?"
    " RETURNING key, data, version"
)
_QUERY = (
    "SELECT key, data, version FROM record WHERE json_extract(data, '$.{field}') = ? AND kind = ? AND key > ?"
    " ORDER BY key LIMIT ?"
)
_DELETE = "DELETE FROM record WHERE kind = ? AND key = ?"


class SQLiteStore:
    """A Store in the file *path*, made when it is not there; safe for many threads and processes.

    At most *connections* statements run at once; a writer waits up to *timeout_s* for another one's write.
    """

    def __init__(self, path: Path, *, connections: int = 4, timeout_s: float = 10.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        # The most recently used connection is taken first; None is one that nobody needed so far.
        self._idle: LifoQueue[sqlite3.Connection | None] = LifoQueue()
        for _ in range(connections):
            self._idle.put(None)
        self._prepare()

    def create_if_absent(self, kind: str, key: str, data: Mapping[str, Any]) -> Document | None:
        return _first(self._run(_CREATE, kind, key, dump(data)))

    def get(self, kind: str, key: str) -> Document | None:
        return _first(self._run(_GET, kind, key))

    def compare_and_set(self, kind: str, key: str, version: str, data: Mapping[str, Any]) -> Document | None:
        return _first(self._run(_REPLACE, dump(data), kind, key, version))

    def query(self, kind: str, field: str, value: str, *, limit: int = 1000, after: str = "") -> Sequence[Document]:
        if field not in INDEXED_FIELDS.get(kind, ()):
            raise ValueError(f"{kind}.{field} is not one of INDEXED_FIELDS")
        return self._run(_QUERY.format(field=field), value, kind, after, limit)

    def delete(self, kind: str, key: str) -> None:
        self._run(_DELETE, kind, key)

    def close(self) -> None:
        """Close the connections that are not in use."""
        for _ in range(self._idle.qsize()):
            connection = self._idle.get()
            self._idle.put(None)
            if connection is not None:
                connection.close()

    def _run(self, statement: str, *parameters: str | int) -> list[Document]:
        with self._connection() as connection:
            # Reading to the end is what commits a statement with RETURNING.
            rows = connection.execute(statement, parameters).fetchall()
        return [Document(key, json.loads(data), version) for key, data, version in rows]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = self._idle.get()
        try:
            connection = connection or self._connect()
            yield connection
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise UpstreamTimeout("The store", "is busy.") from error
            raise UpstreamError("The store", "does not work.") from error
        finally:
            self._idle.put(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False)
        # Without a wait for the disk at each write. What a power cut loses is written again: every step is one that
        # may be repeated. The death of a process loses nothing. https://www.sqlite.org/pragma.html#pragma_synchronous
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _prepare(self) -> None:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _create(self._path)
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            for field in sorted({field for fields in INDEXED_FIELDS.values() for field in fields}):
                connection.execute(_INDEX.format(field=field))
            connection.execute("COMMIT")


def _create(path: Path) -> None:
    """Make an empty database in WAL mode, unless another process is faster."""
    # Processes that switch one file to WAL at once fail instead of waiting for each other: each makes its own.
    with TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder) / path.name
        # Records hold the tokens of people's servers. SQLite gives its other files the mode of this one.
        new.touch(mode=0o600)
        with closing(sqlite3.connect(new)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with suppress(FileExistsError):
            os.link(new, path)


def _first(documents: Sequence[Document]) -> Document | None:
    return documents[0] if documents else None
