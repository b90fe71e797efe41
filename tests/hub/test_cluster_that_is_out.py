"""A Hub that starts, and asks after its servers, while nobody answers for the cluster."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jupyterhub.objects import Hub
from traitlets.config import Config

from hub.binderless_spawner import BinderlessSpawner
from tests.hub.test_binderless_spawner import KUBECONFIG

RUNNING = {
    "phase": "Running",
    "podIP": "192.0.2.7",
    "containerStatuses": [{"name": "notebook", "state": {"running": {}}, "ready": True}],
}


class User:
    """One of those who have a server."""

    settings: Mapping[str, Any] = {}

    def __init__(self, number: int) -> None:
        self.id = number
        self.name = self.escaped_name = f"user{number}"
        self.url = f"/user/{self.name}"


class Cluster:
    """An API server that has the pods named, and refuses so many requests."""

    def __init__(self, pods: list[str], refusals: int = 0) -> None:
        self.pods, self.refusals, self.lists = pods, refusals, 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.refusals:
            self.refusals -= 1
            return web.json_response({"message": "etcdserver: no leader"}, status=503)
        if "watch" in request.query:
            await asyncio.sleep(3600)
        self.lists += 1
        metadata = [{"name": f"jupyter-{name}", "namespace": "hub"} for name in self.pods]
        items = [{"metadata": it, "status": RUNNING} for it in metadata]
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})

    @asynccontextmanager
    async def listening(self, address: socket.socket) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, address).start()
        try:
            yield
        finally:
            await runner.cleanup()


@asynccontextmanager
async def spawners(
    count: int, monkeypatch: pytest.MonkeyPatch, folder: Path, address: socket.socket
) -> AsyncIterator[list[Any]]:
    """As many spawners as *count* of one Hub, in a cluster that should be at *address*."""
    (folder / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setattr("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", f"{folder}/kubeconfig")
    monkeypatch.setattr(BinderlessSpawner, "reflectors", {})
    c = Config()
    # The kubeconfig is read once a process.
    c.BinderlessSpawner.k8s_api_host = f"http://127.0.0.1:{address.getsockname()[1]}"
    c.BinderlessSpawner.namespace = "hub"
    c.BinderlessSpawner.ask_again_s = 0.05
    made = [BinderlessSpawner(hub=Hub(), user=User(number), config=c, _mock=True) for number in range(count)]
    try:
        yield made
    finally:
        await BinderlessSpawner._stop_all_reflectors()
        for spawner in made:
            await spawner.api.api_client.close()


@pytest.fixture
def address() -> Iterator[socket.socket]:
    """Ours, and until somebody listens there, connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def test_nobody_is_taken_for_gone_before_the_cluster_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: socket.socket
) -> None:
    cluster = Cluster(["user0", "user1"])

    async def story() -> None:
        async with spawners(3, monkeypatch, tmp_path, address) as made:
            asked = [asyncio.ensure_future(spawner.poll()) for spawner in made]
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in asked)
            async with cluster.listening(address):
                # None is a server that runs.
                assert await asyncio.gather(*asked) == [None, None, 1]
                assert await made[0].poll() is None
                assert cluster.lists == 1

    asyncio.run(asyncio.wait_for(story(), 30))


def test_an_api_server_that_answers_with_errors_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: socket.socket
) -> None:
    async def story() -> None:
        cluster = Cluster(["user0"], refusals=3)
        async with cluster.listening(address), spawners(1, monkeypatch, tmp_path, address) as made:
            assert await made[0].poll() is None
            assert cluster.refusals == 0

    asyncio.run(asyncio.wait_for(story(), 30))
