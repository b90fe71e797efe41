"""The SQLite store where it is more than the contract: several processes, its file, its plans, its failures."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from functions.adapters.stores import sqlite
from functions.adapters.stores.sqlite import SQLiteStore
from functions.core.errors import UpstreamError, UpstreamTimeout

# Each process creates the same records and adds to one number; all begin on a file that is not there yet.
WORKER = """
import json, sys
from pathlib import Path
from functions.adapters.stores.sqlite import SQLiteStore

store = SQLiteStore(Path(sys.argv[1]), timeout_s=60)
won = sum(store.create_if_absent("build", f"k{n}", {"by": sys.argv[2]}) is not None for n in range(40))
store.create_if_absent("build", "sum", {"n": 0})
for _ in range(40):
    while True:
        seen = store.get("build", "sum")
        if store.compare_and_set("build", "sum", seen.version, {"n": seen.data["n"] + 1}):
            break
print(json.dumps(won))
"""


def test_processes_share_one_store_without_losing_anything(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    def work(name: str) -> int:
        command = [sys.executable, "-c", WORKER, str(path), name]
        return int(json.loads(subprocess.run(command, check=True, capture_output=True, timeout=100).stdout))

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(work, "abcd"))
    assert sum(won) == 40
    with closing(SQLiteStore(path)) as store:
        total = store.get("build", "sum")
        assert total is not None
        assert total.data == {"n": 160}


def test_records_outlive_the_store_object(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "store.db")) as store:
        created = store.create_if_absent("launch", "a", {"n": 1})
    with closing(SQLiteStore(tmp_path / "store.db")) as store:
        assert store.get("launch", "a") == created


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "store.db")) as store:
        store.create_if_absent("launch", "a", {"token": "secret"})
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-shm": 0o600, "store.db-wal": 0o600}


def test_every_query_uses_its_index(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "store.db").close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        for field in ("backend_id", "open", "waiting_for", "uncollected", "user"):
            statement = "EXPLAIN QUERY PLAN " + sqlite._QUERY.format(field=field)
            plan = str(connection.execute(statement, ("x", "launch", "", 1)).fetchall())
            assert f"USING INDEX record_{field} " in plan
            assert "TEMP B-TREE" not in plan


def test_a_writer_that_waits_too_long_is_told_that_the_store_is_busy(tmp_path: Path) -> None:
    with (
        closing(SQLiteStore(tmp_path / "store.db", timeout_s=0.01)) as store,
        closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UpstreamTimeout, match="The store is busy"):
            store.create_if_absent("launch", "a", {})
        assert store.get("launch", "a") is None
        other.execute("ROLLBACK")
        assert store.create_if_absent("launch", "a", {})


def test_more_threads_than_connections_wait_for_their_turn(tmp_path: Path) -> None:
    with closing(SQLiteStore(tmp_path / "store.db", connections=2)) as store, ThreadPoolExecutor(32) as pool:
        made = list(pool.map(lambda n: store.create_if_absent("launch", str(n), {"n": n}), range(200)))
    assert all(made)


def test_what_is_no_store_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"something else" * 1000)
    for name in ("folder", "file"):
        with pytest.raises(UpstreamError, match="The store does not work"):
            SQLiteStore(tmp_path / name)
