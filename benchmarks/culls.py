"""A round of the cull with a Hub of ten thousand users: `python -m benchmarks.culls`.

The Hub is a stub over real sockets, in a process of its own, the store SQLite with a record for each launch. Memory is
what Python allocated at most during the round, measured in a round of its own, since measuring slows it down.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
import tracemalloc
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from functions.adapters.http import HttpClient
from functions.adapters.jupyterhub import JupyterHub
from functions.adapters.stores.sqlite import SQLiteStore
from functions.core.launch import Launch, Phase
from functions.core.ports import ResolvedRepo
from functions.cull import cull
from functions.state import records
from functions.world import World
from tests.fakes.stub_hub import stub_hub
from tests.fakes.world import Fakes
from tests.functions.requests import request

USERS = 10_000


def main() -> None:
    print(describe())
    for idle in (0, 1000):
        for measure in ("time", "memory"):
            with tempfile.TemporaryDirectory() as folder:
                _measure(Path(folder) / "store.sqlite", idle=idle, measure=measure)


def _measure(path: Path, *, idle: int, measure: str) -> None:
    fakes = Fakes()
    store = SQLiteStore(path)
    now = fakes.clock.now()
    for number in range(USERS):
        records.launches(store).create_if_absent(_launch(_name(number), now))
    ours, theirs = multiprocessing.Pipe()
    last_used = {_name(number): now - (700 if number < idle else 10) for number in range(USERS)}
    hub = multiprocessing.Process(target=_serve, args=(theirs, last_used))
    hub.start()
    try:
        client = JupyterHub(HttpClient("JupyterHub", f"{ours.recv()}/hub/api"), url="https://hub.example.org")
        world = replace(
            fakes.world(), hub=client, store=store, launches=records.launches(store), builds=records.builds(store)
        )
        _round(world, measure=measure, idle=idle)
    finally:
        ours.send("stop")
        hub.join()
        store.close()


def _round(world: World, *, measure: str, idle: int) -> None:
    if measure == "memory":
        tracemalloc.start()
    begun = time.perf_counter()
    report: dict[str, Any] = json.loads(cull(request(authorization="Bearer scheduler"), world).get_data())
    seconds = time.perf_counter() - begun
    what = f"{USERS} users, {idle} of them idle"
    if measure == "memory":
        print(f"{what:40} {tracemalloc.get_traced_memory()[1] / 2**20:6.1f} MiB at most")
        tracemalloc.stop()
    else:
        print(f"{what:40} {seconds:6.1f} s; {report['removed']} {report['kept']} {report['left']}")


def _serve(parent: Connection, last_used: dict[str, float]) -> None:
    with stub_hub() as hub:
        hub.crowd = last_used
        parent.send(hub.web.url)
        parent.recv()


def _name(number: int) -> str:
    return f"owner-plots-{number:05}"


def _launch(user: str, now: float) -> Launch:
    repo = ResolvedRepo(
        provider="gh",
        spec="owner/plots/main",
        repo_url="https://github.com/owner/plots",
        sha="c0ffee",
        slug="owner-plots",
        resolved_spec="owner/plots/c0ffee",
        ref_url="https://github.com/owner/plots/tree/c0ffee",
    )
    return Launch(
        id=user,
        provider="gh",
        spec="owner/plots/main",
        repo=repo,
        image="registry.example.org/owner-plots:c0ffee",
        created_at=now - 9000,
        last_seen_at=now - 9000,
        token="token",
        host="https://binder.example.org/",
        phase=Phase.READY,
        user=user,
        ready_at=now - 9000,
        collected_at=now - 9000,
        ended_at=now - 9000,
    )


if __name__ == "__main__":
    main()
