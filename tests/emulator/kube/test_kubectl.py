"""The machine's own kubectl against the server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import TOKEN, ServerThread, eventually, pod_body

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{url}", certificate-authority: "{certificate}"}}}}]
users: [{{name: u, user: {{token: "{token}"}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u, namespace: "{namespace}"}}}}]
current-context: x
"""
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: a, labels: {{of: test}}}}
data: {{k: "{value}"}}
---
apiVersion: v1
kind: Service
metadata: {{name: a}}
spec: {{ports: [{{port: 80}}], selector: {{app: a}}}}
"""


class Kubectl:
    """Runs kubectl in a namespace."""

    def __init__(self, folder: Path, server: ServerThread, namespace: str) -> None:
        self.folder = folder
        config = folder / "config"
        values = {"url": server.tls_url, "certificate": server.certificate, "token": TOKEN, "namespace": namespace}
        config.write_text(KUBECONFIG.format(**values))
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": str(config)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(["kubectl", *arguments], env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Return what kubectl prints (the errors, where it must fail)."""
        with self.start(*arguments) as process:
            out, errors = process.communicate(timeout=60)
        assert (process.returncode != 0) == fails, errors
        return errors if fails else out

    def manifest(self, value: str) -> str:
        path = self.folder / "manifest.yaml"
        path.write_text(MANIFEST.format(value=value))
        return str(path)


@pytest.fixture
def kubectl(tmp_path: Path, server: ServerThread, namespace: str) -> Kubectl:
    return Kubectl(tmp_path, server, namespace)


@pytest.fixture
def running_pod(core: Any, kubelet: FakeKubelet, namespace: str) -> str:
    core.create_namespaced_pod(namespace, pod_body("a", nodeSelector={"of": kubelet.name}))
    eventually(lambda: core.read_namespaced_pod("a", namespace).spec.node_name)
    kubelet.run(namespace, "a")
    return "a"


def test_get_prints_the_columns_of_kubernetes(kubectl: Kubectl, running_pod: str) -> None:
    header, line = kubectl("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert line.split()[:4] == ["a", "1/1", "Running", "0"]
    wide = kubectl("get", "po", "-o", "wide").splitlines()[1]
    assert "127.77.0.1" in wide
    assert kubectl("get", "pod", "a", "-o", "jsonpath={.status.podIP}") == "127.77.0.1"


def test_get_with_watch_prints_changes(
    kubectl: Kubectl, kubelet: FakeKubelet, namespace: str, running_pod: str
) -> None:
    with kubectl.start("get", "pods", "-w") as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(2)]
        kubelet.finish(namespace, running_pod)
        changed = process.stdout.readline().split()
        process.terminate()
    assert seen[1].split()[2] == "Running"
    assert changed[:3] == ["a", "0/1", "Completed"]


def test_describe_shows_a_pod_with_its_events(kubectl: Kubectl, running_pod: str) -> None:
    text = kubectl("describe", "pod", "a")
    assert "Image:" in text
    assert "Successfully assigned" in text


def test_apply_creates_then_changes_then_does_nothing(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", kubectl.manifest("v")) == "configmap/a created\nservice/a created\n"
    assert kubectl("apply", "-f", kubectl.manifest("w")) == "configmap/a configured\nservice/a unchanged\n"
    assert kubectl("apply", "-f", kubectl.manifest("w")) == "configmap/a unchanged\nservice/a unchanged\n"
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "w"


def test_server_side_apply_creates_and_changes(kubectl: Kubectl) -> None:
    for value in ("v", "w"):
        kubectl("apply", "--server-side", "-f", kubectl.manifest(value))
        assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == value


def test_label_annotate_and_patch_change_an_object(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", kubectl.manifest("v"))
    kubectl("label", "cm", "a", "x=y")
    kubectl("annotate", "cm", "a", "n=m")
    kubectl("patch", "cm", "a", "-p", '{"data":{"k":"z"}}')
    assert kubectl("get", "cm", "-l", "x=y", "-o", "jsonpath={.items[0].data.k}") == "z"


def test_delete_waits_until_an_object_is_gone(kubectl: Kubectl, core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    assert kubectl("delete", "pod", "a") == 'pod "a" deleted\n'
    assert 'pods "a" not found' in kubectl("get", "pod", "a", fails=True)


def test_logs_are_printed_and_followed(kubectl: Kubectl, kubelet: FakeKubelet, running_pod: str) -> None:
    assert kubectl("logs", "a") == "one\ntwo\n"
    with kubectl.start("logs", "-f", "a") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        kubelet.follow_until.set()
        rest = process.stdout.read()
    assert first == "one\n"
    assert rest.endswith("last\n")
    assert process.returncode == 0


def test_wait_sees_a_condition(kubectl: Kubectl, kubelet: FakeKubelet, namespace: str, running_pod: str) -> None:
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "pod/a", "--timeout=10s")


def test_a_protobuf_body_is_refused_in_words(kubectl: Kubectl) -> None:
    # Only kubectl 1.32 and later send one here.
    with kubectl.start("create", "configmap", "b", "--from-literal=k=v") as process:
        _out, errors = process.communicate(timeout=60)
    assert process.returncode == 0 or "does not read application/vnd.kubernetes.protobuf" in errors
