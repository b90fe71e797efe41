"""One API server and one kubelet for the tests of this folder, and a namespace for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.kubelet.process import find_runtime
from tests.emulator.kubelet.cluster import Cluster, Loop, Namespace, api_server, loop_thread


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    with loop_thread() as made:
        yield made


@pytest.fixture(scope="session")
def server_url(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with api_server(loop, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster(loop: Loop, server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose kubelet runs."""
    made = Cluster(loop, server_url, tmp_path_factory.mktemp("stack") / "kubelet", find_runtime())
    with made.kubelet():
        yield made


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace_of_a_test() as made:
        yield made


@pytest.fixture(scope="session")
def bubblewrap(cluster: Cluster) -> None:
    if cluster.runtime is None:
        pytest.skip("needs bubblewrap")
