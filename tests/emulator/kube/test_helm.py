"""helm installs, upgrades, rolls back and removes a small chart of ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import ServerThread, eventually

CHART = str(Path(__file__).with_name("chart"))


@pytest.fixture
def helm(npm_binaries: Path, tmp_path: Path, server: ServerThread, namespace: str) -> Kubectl:
    return Kubectl(str(npm_binaries / "helm"), tmp_path, server, namespace)


@pytest.fixture
def hooks_end(core: Any, kubelet: FakeKubelet, namespace: str) -> Iterator[None]:
    """The job that the chart runs after its installation succeeds."""

    def finish() -> None:
        pods = eventually(lambda: [p for p in core.list_namespaced_pod(namespace).items if p.spec.node_name])
        kubelet.finish(namespace, pods[0].metadata.name)

    thread = threading.Thread(target=finish)
    thread.start()
    yield
    thread.join()


def greeting(core: Any, namespace: str) -> str:
    return str(core.read_namespaced_config_map("r", namespace).data["greeting"])


def test_a_chart_lives_its_whole_life(
    helm: Kubectl, kubelet: FakeKubelet, hooks_end: None, core: Any, namespace: str
) -> None:
    node = f"node={kubelet.name}"
    installed = helm("install", "r", CHART, "--set", node, "--timeout", "30s", "-o", "json")
    assert json.loads(installed)["info"]["status"] == "deployed"
    assert greeting(core, namespace) == "hello"
    helm("upgrade", "r", CHART, "--set", node, "--set", "greeting=bye")
    assert greeting(core, namespace) == "bye"
    helm("rollback", "r", "1")
    assert greeting(core, namespace) == "hello"
    assert [each["revision"] for each in json.loads(helm("history", "r", "-o", "json"))] == [1, 2, 3]
    assert "r" in helm("list", "-q").split()
    helm("uninstall", "r")
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map("r", namespace)
    assert gone.value.status == 404


def test_a_chart_is_tried_against_the_server(helm: Kubectl) -> None:
    assert "kind: Service" in helm("install", "r", CHART, "--dry-run=server", "--set", "node=x")
    assert "kind: Role" in helm("template", "r", CHART, "--validate", "--set", "node=x")
