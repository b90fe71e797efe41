"""A cluster with TLS and two users for the tests of this folder, and the clients that judge it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes import client

from emulator.kube.authentication import parse_tokens
from emulator.kube.process import Settings, running
from emulator.kubelet.process import find_runtime
from tests.emulator.kube.binaries import installed, npm_command
from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import ServerThread, api_client
from tests.emulator.kubelet.cluster import TOKEN, Cluster, Namespace, loop_thread, passable_folder

BOB = "the-token-of-bob"
TOKENS = f'{TOKEN},admin,1,"system:masters"\n{BOB},bob,2,people\n'

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: of-bob}}
rules:
- {{apiGroups: [""], resources: [pods], verbs: [get]}}
- {{apiGroups: [""], resources: ["{parts}"], verbs: {verbs}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: of-bob}}
subjects: [{{kind: User, name: bob}}]
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: of-bob}}
"""


# For what bubblewrap is there for.
SHUT_IN = pytest.mark.parametrize("stage", ["bubblewrap"], indirect=True)


@dataclass(frozen=True, slots=True)
class Stage:
    """The API server as clients find it, and the cluster behind it."""

    server: ServerThread
    cluster: Cluster


@pytest.fixture(scope="session", params=["bubblewrap", "bare"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    runtime = find_runtime() if request.param == "bubblewrap" else None
    if runtime is None and request.param == "bubblewrap":
        pytest.skip("needs bubblewrap")
    state = tmp_path_factory.mktemp("server")
    settings = Settings(0, state, parse_tokens(TOKENS.splitlines()), 0)
    with loop_thread() as loop, passable_folder() as folder, loop.entered(running(settings)) as server:
        url, tls_url = f"http://127.0.0.1:{server.port}", f"https://127.0.0.1:{server.tls_port}"
        cluster = Cluster(loop, url, folder / "kubelet", runtime)
        with cluster.kubelet():
            yield Stage(ServerThread(url, tls_url, state, server), cluster)


@pytest.fixture
def cluster(stage: Stage) -> Cluster:
    return stage.cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace_of_a_test() as made:
        yield made


@pytest.fixture
def pod(namespace: Namespace) -> str:
    """A pod that runs, in the test's namespace."""
    namespace.run("echo begun; trap 'exit 0' TERM; while :; do sleep 0.1; done", terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    return "a"


@pytest.fixture
def core(stage: Stage) -> Iterator[client.CoreV1Api]:
    """The official library, with a client of its own: a stream changes how its client sends requests."""
    with api_client(stage.server.url, TOKEN) as made:
        yield client.CoreV1Api(made)


def programs() -> dict[str, str | None]:
    npm = npm_command()
    return {"npm": str(installed(npm) / "kubectl") if npm else None, "machine": shutil.which("kubectl")}


@pytest.fixture(params=["npm", "machine"])
def kubectl(request: pytest.FixtureRequest, tmp_path: Path, stage: Stage, namespace: Namespace) -> Kubectl:
    program = programs()[request.param]
    if program is None:
        pytest.skip(f"needs kubectl ({request.param})")
    return Kubectl(program, tmp_path, stage.server, namespace.name, TOKEN)


@pytest.fixture
def bobs_kubectl(kubectl: Kubectl, tmp_path: Path, stage: Stage, namespace: Namespace) -> Kubectl:
    (folder := tmp_path / "bob").mkdir()
    return Kubectl(kubectl.program, folder, stage.server, namespace.name, BOB)
