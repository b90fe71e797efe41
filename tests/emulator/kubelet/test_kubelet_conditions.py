"""Conditions of pods and nodes: the kubelet's own, and those of others beside them."""

from __future__ import annotations

from typing import Any

from tests.emulator.kubelet.cluster import Cluster, Namespace, eventually


def conditions(status: Any) -> dict[str, Any]:
    return {each["type"]: each for each in status.get("conditions", ())}


def test_conditions_that_others_write_meanwhile_are_never_lost(namespace: Namespace) -> None:
    namespace.run("true", restart="Always")
    written: list[str] = []
    while (namespace.pod()["status"].get("containerStatuses") or [{}])[0].get("restartCount", 0) < 2:
        written.append(f"example.com/{len(written)}")
        namespace.patch("pods/a/status", {"status": {"conditions": [{"type": written[-1], "status": "True"}]}})
    assert conditions(namespace.pod()["status"]).keys() >= {*written, "Ready"}


def test_what_a_condition_does_not_say_any_more_is_gone(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["cat", "/tmp/up"]}, "periodSeconds": 1}
    namespace.run("sleep 1; touch /tmp/up; sleep 600", readinessProbe=probe)
    unready = namespace.wait(lambda pod: "Ready" in conditions(pod["status"]))
    assert conditions(unready["status"])["Ready"]["reason"] == "ContainersNotReady"
    ready = namespace.wait(lambda pod: conditions(pod["status"])["Ready"]["status"] == "True")
    assert not {"reason", "message"} & conditions(ready["status"])["Ready"].keys()


def test_a_node_keeps_the_conditions_of_others_and_no_address_but_its_own(cluster: Cluster) -> None:
    path = f"/api/v1/nodes/{cluster.node}"
    eventually(lambda: cluster.get(path))
    status = {
        "conditions": [{"type": "KernelDeadlock", "status": "False"}, {"type": "Ready", "status": "Unknown"}],
        "addresses": [{"type": "ExternalIP", "address": "192.0.2.1"}],
    }
    cluster.call("PATCH", f"{path}/status", {"status": status})
    eventually(lambda: conditions(cluster.get(path)["status"])["Ready"]["status"] == "True")
    found = cluster.get(path)["status"]
    assert "KernelDeadlock" in conditions(found)
    assert {each["type"] for each in found["addresses"]} == {"InternalIP", "Hostname"}


def test_a_pod_is_ready_when_the_conditions_of_its_readiness_gates_are_true(namespace: Namespace) -> None:
    def ready(status: str) -> Any:
        pod = namespace.wait(lambda pod: conditions(pod["status"]).get("Ready", {}).get("status") == status)
        assert conditions(pod["status"])["ContainersReady"]["status"] == "True"
        return conditions(pod["status"])["Ready"]

    def opened(status: str) -> None:
        namespace.patch("pods/a/status", {"status": {"conditions": [{"type": "example.com/open", "status": status}]}})

    namespace.run("sleep 600", readinessGates=[{"conditionType": "example.com/open"}])
    namespace.phase("Running")
    missing = ready("False")
    assert missing["reason"] == "ReadinessGatesNotReady"
    assert missing["message"] == 'corresponding condition of pod readiness gate "example.com/open" does not exist.'
    opened("True")
    assert "reason" not in ready("True")
    opened("False")
    assert ready("False")["message"] == 'the status of pod readiness gate "example.com/open" is not "True", but False'
