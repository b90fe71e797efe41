"""One server for all tests of this folder, and the official client for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import ServerThread, api_client, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    with serving(tmp_path_factory.mktemp("kube")) as started:
        yield started


@pytest.fixture
def api(server: ServerThread) -> Iterator[Any]:
    with api_client(server.url) as made:
        yield made
        made.rest_client.pool_manager.clear()


@pytest.fixture
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
def batch(api: Any) -> Any:
    return client.BatchV1Api(api)


@pytest.fixture
def namespace(core: Any) -> str:
    """A namespace of the test's own."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    core.create_namespace({"metadata": {"name": name}})
    return name


@pytest.fixture
def kubelet(core: Any, namespace: str) -> Iterator[FakeKubelet]:
    """The only node with a label of its name; pods go to it with `nodeSelector={"of": kubelet.name}`."""
    made = FakeKubelet(core, f"node-of-{namespace}")
    made.register()
    yield made
    made.close()
