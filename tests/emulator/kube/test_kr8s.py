"""kr8s, a client that finds everything by discovery, in processes of its own: it never closes its connections."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import eventually, pod_body

BEGINNING = """
import kr8s
from kr8s.objects import ConfigMap, Job, Pod, Service
api = kr8s.api()
"""


class Script:
    """Python that uses kr8s, in a process of its own."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._environment = kubectl.environment

    def start(self, text: str) -> subprocess.Popen[str]:
        pipe, command = subprocess.PIPE, [sys.executable, "-c", BEGINNING + text]
        return subprocess.Popen(command, env=self._environment, stdout=pipe, stderr=pipe, text=True)

    def __call__(self, text: str) -> list[str]:
        with self.start(text) as process:
            out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return out.splitlines()


@pytest.fixture
def kr8s(npm_kubectl: Kubectl) -> Script:
    return Script(npm_kubectl)


def test_it_creates_changes_lists_and_deletes(kr8s: Script) -> None:
    said = kr8s("""
made = ConfigMap({"metadata": {"name": "a"}, "data": {"k": "v"}})
made.create()
made.patch({"data": {"k": "w"}})
made.label({"x": "y"})
print([(each.name, each.data.k) for each in api.get("configmaps", label_selector={"x": "y"})])
made.delete()
print(made.exists())
""")
    assert said == ["[('a', 'w')]", "False"]


def test_it_finds_kinds_by_discovery(kr8s: Script) -> None:
    said = kr8s("""
print({"pods", "jobs", "roles"} <= {each["name"] for each in api.api_resources()})
print(api.version()["minor"])
""")
    assert said == ["True", "31"]


def test_it_waits_for_a_pod_and_reads_its_log(kr8s: Script, core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", nodeSelector={"of": kubelet.name}))
    eventually(lambda: core.read_namespaced_pod("a", namespace).spec.node_name)
    waiting = kr8s.start("""
pod = Pod.get("a")
pod.wait("condition=Ready", timeout=30)
print(pod.ready(), [*pod.logs()])
""")
    kubelet.run(namespace, "a")
    out, errors = waiting.communicate(timeout=60)
    assert out == "True ['one', 'two']\n", errors


def test_it_follows_a_job_to_its_pods_and_watches_them(kr8s: Script) -> None:
    said = kr8s("""
container = {"name": "main", "image": "example.org/x:1"}
template = {"spec": {"restartPolicy": "Never", "nodeSelector": {"of": "nobody"}, "containers": [container]}}
job = Job({"metadata": {"name": "j"}, "spec": {"template": template}})
job.create()
for event, pod in api.watch("pods", label_selector="job-name=j"):
    print(event, pod.raw["metadata"]["ownerReferences"][0]["kind"])
    break
job.delete(propagation_policy="Foreground")
job.wait("delete", timeout=30)
""")
    assert said == ["ADDED Job"]
