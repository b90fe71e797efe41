"""Which pods are scheduled, and when, through the official client; the kubelet is a fake."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import eventually, pod_body

FOR_A_SECOND: dict[str, Any] = {"tolerationSeconds": 1}


def add(core: Any, kubelet: FakeKubelet, namespace: str, name: str, **spec: Any) -> Any:
    return core.create_namespaced_pod(namespace, pod_body(name, nodeSelector={"of": kubelet.name}, **spec))


def asking(**amounts: str) -> list[dict[str, Any]]:
    """Return the containers of a pod that asks for these resources."""
    return [{"name": "main", "image": "i:1", "resources": {"requests": amounts, "limits": amounts}}]


def node_of(core: Any, namespace: str, name: str) -> str | None:
    node: str | None = core.read_namespaced_pod(name, namespace).spec.node_name
    return node


def reason(core: Any, namespace: str, name: str) -> tuple[str, str]:
    """Return reason and message of why a pod waits."""
    conditions = core.read_namespaced_pod(name, namespace).status.conditions or []
    return next(((each.reason, each.message) for each in conditions if each.status == "False"), ("", ""))


def test_a_pod_waits_until_its_gates_are_gone(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    gates = [{"name": "example.org/one"}, {"name": "example.org/two"}]
    add(core, kubelet, namespace, "gated", schedulingGates=gates)
    add(core, kubelet, namespace, "open")
    eventually(lambda: node_of(core, namespace, "open"))
    assert node_of(core, namespace, "gated") is None
    assert reason(core, namespace, "gated")[0] == "SchedulingGated"
    with pytest.raises(ApiException) as refused:
        body = {"metadata": {"name": "gated"}, "target": {"kind": "Node", "name": kubelet.name}}
        core.create_namespaced_pod_binding("gated", namespace, body, _preload_content=False)
    assert refused.value.status == 409
    core.patch_namespaced_pod("gated", namespace, [{"op": "remove", "path": "/spec/schedulingGates"}])
    eventually(lambda: node_of(core, namespace, "gated"))


def test_gates_are_only_taken_away(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    add(core, kubelet, namespace, "a", schedulerName="nobody")
    for change in ({"schedulingGates": [{"name": "example.org/one"}]}, {"nodeSelector": {"a": "b"}}):
        with pytest.raises(ApiException) as refused:
            core.patch_namespaced_pod("a", namespace, {"spec": change})
        assert refused.value.status == 422


def test_a_pod_that_asks_for_what_no_node_has_waits(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    add(core, kubelet, namespace, "a", containers=asking(**{"example.org/gpu": "1"}))
    eventually(lambda: "1 Insufficient example.org/gpu" in reason(core, namespace, "a")[1])
    assert reason(core, namespace, "a")[0] == "Unschedulable"
    amounts = {"allocatable": {"example.org/gpu": "1"}, "capacity": {"example.org/gpu": "1"}}
    core.patch_node_status(kubelet.name, {"status": amounts})
    eventually(lambda: node_of(core, namespace, "a"))
    add(core, kubelet, namespace, "b", containers=asking(**{"example.org/gpu": "1"}))
    eventually(lambda: "1 Insufficient example.org/gpu" in reason(core, namespace, "b")[1])


def test_what_the_machine_has_without_telling_is_not_counted(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    add(core, kubelet, namespace, "a", containers=asking(**{"ephemeral-storage": "1Gi"}))
    eventually(lambda: node_of(core, namespace, "a"))


def test_of_pods_that_wait_the_one_with_the_higher_priority_goes_first(
    core: Any, api: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    client.SchedulingV1Api(api).create_priority_class({"metadata": {"name": namespace}, "value": 10})
    full = {"containers": asking(cpu="2")}
    add(core, kubelet, namespace, "first", **full)
    eventually(lambda: node_of(core, namespace, "first"))
    add(core, kubelet, namespace, "low", **full)
    eventually(lambda: reason(core, namespace, "low")[0] == "Unschedulable")
    add(core, kubelet, namespace, "high", priorityClassName=namespace, **full)
    core.delete_namespaced_pod("first", namespace, grace_period_seconds=0)
    eventually(lambda: node_of(core, namespace, "high"))
    assert node_of(core, namespace, "low") is None


def test_pods_leave_a_node_whose_taint_they_do_not_tolerate(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    staying: dict[str, Any] = {"key": "example.org/ill", "operator": "Exists"}
    add(core, kubelet, namespace, "stays", tolerations=[staying])
    add(core, kubelet, namespace, "leaves-later", tolerations=[staying | {"effect": "NoExecute"} | FOR_A_SECOND])
    add(core, kubelet, namespace, "leaves")
    eventually(lambda: all(node_of(core, namespace, name) for name in ("stays", "leaves-later", "leaves")))
    taint = {"key": "example.org/ill", "value": "yes", "effect": "NoExecute"}
    core.patch_node(kubelet.name, {"spec": {"taints": [taint]}})

    def leaving(name: str) -> Any:
        return core.read_namespaced_pod(name, namespace).metadata.deletion_timestamp

    first, later = eventually(lambda: leaving("leaves")), eventually(lambda: leaving("leaves-later"))
    assert later - first >= timedelta(seconds=1)
    assert not leaving("stays")
    events = core.list_namespaced_event(namespace, field_selector="reason=TaintManagerEviction").items
    assert {event.involved_object.name for event in events} == {"leaves", "leaves-later"}
    conditions = core.read_namespaced_pod("leaves", namespace).status.conditions
    assert ("DisruptionTarget", "DeletionByTaintManager") in [(each.type, each.reason) for each in conditions]


def test_a_pod_that_tolerates_a_taint_for_a_time_stays_when_the_taint_goes(
    core: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    toleration = {"key": "example.org/ill", "operator": "Exists", "effect": "NoExecute"}
    add(core, kubelet, namespace, "a", tolerations=[toleration | FOR_A_SECOND])
    eventually(lambda: node_of(core, namespace, "a"))
    core.patch_node(kubelet.name, {"spec": {"taints": [{"key": "example.org/ill", "effect": "NoExecute"}]}})
    core.patch_node(kubelet.name, {"spec": {"taints": None}})
    time.sleep(1.2)
    assert core.read_namespaced_pod("a", namespace).metadata.deletion_timestamp is None
