"""Pods through the official client: scheduled, logged, deleted; the kubelet is a fake."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import KUBELET_TOKEN, eventually, pod_body


def scheduled(core: Any, kubelet: FakeKubelet, namespace: str, name: str, **spec: Any) -> Any:
    """Create a pod for the node of *kubelet* and return it when it is bound."""
    core.create_namespaced_pod(namespace, pod_body(name, nodeSelector={"of": kubelet.name}, **spec))
    eventually(lambda: core.read_namespaced_pod(name, namespace).spec.node_name, what="a node")
    return core.read_namespaced_pod(name, namespace)


def hungry(cpu: str) -> dict[str, Any]:
    """Return the spec of a pod that asks for cpu."""
    return {"containers": [{"name": "main", "image": "i:1", "resources": {"requests": {"cpu": cpu}}}]}


def message(error: pytest.ExceptionInfo[ApiException]) -> str:
    return str(json.loads(error.value.body)["message"])


def reasons(core: Any, namespace: str, name: str) -> list[str]:
    """Return the reasons of the events of a pod."""
    selector = f"involvedObject.name={name}"
    return [event.reason for event in core.list_namespaced_event(namespace, field_selector=selector).items]


def test_a_pending_pod_gets_a_node_with_room(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    pod = scheduled(core, kubelet, namespace, "a")
    assert pod.spec.node_name == kubelet.name
    assert [(c.type, c.status) for c in pod.status.conditions] == [("PodScheduled", "True")]
    assert reasons(core, namespace, "a") == ["Scheduled"]


def test_a_pod_waits_until_another_makes_room(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "first", **hungry("1500m"))
    core.create_namespaced_pod(namespace, pod_body("second", nodeSelector={"of": kubelet.name}, **hungry("1")))
    eventually(lambda: reasons(core, namespace, "second") == ["FailedScheduling"])
    waiting = core.read_namespaced_pod("second", namespace).status.conditions[0]
    assert (waiting.status, waiting.reason) == ("False", "Unschedulable")
    assert "1 Insufficient cpu" in waiting.message
    core.delete_namespaced_pod("first", namespace, grace_period_seconds=0)
    eventually(lambda: core.read_namespaced_pod("second", namespace).spec.node_name)


def test_a_scheduler_that_is_not_ours_is_waited_for(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    body = pod_body("a", schedulerName="nobody", nodeSelector={"of": kubelet.name})
    core.create_namespaced_pod(namespace, body)
    scheduled(core, kubelet, namespace, "b", schedulerName="binder-user-scheduler")
    assert core.read_namespaced_pod("a", namespace).spec.node_name is None


def test_a_running_pod_has_its_grace_period(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    kubelet.run(namespace, "a")
    core.delete_namespaced_pod("a", namespace, grace_period_seconds=12)
    core.delete_namespaced_pod("a", namespace, grace_period_seconds=50)
    going = core.read_namespaced_pod("a", namespace).metadata
    assert (going.deletion_grace_period_seconds, going.deletion_timestamp is None) == (12, False)
    core.delete_namespaced_pod("a", namespace, grace_period_seconds=0)
    with pytest.raises(ApiException):
        core.read_namespaced_pod("a", namespace)


def test_a_shorter_grace_period_begins_with_the_first_deletion(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    first = core.delete_namespaced_pod("a", namespace, grace_period_seconds=1000).metadata.deletion_timestamp
    time.sleep(1.1)
    second = core.delete_namespaced_pod("a", namespace, grace_period_seconds=400).metadata.deletion_timestamp
    assert first - second == timedelta(seconds=600)


def test_a_negative_grace_period_is_one_second(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    going = core.delete_namespaced_pod("a", namespace, grace_period_seconds=-1).metadata
    assert going.deletion_grace_period_seconds == 1


def test_a_pod_without_a_node_goes_at_once(core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    core.delete_namespaced_pod("a", namespace)
    assert core.list_namespaced_pod(namespace).items == []


def test_a_pod_can_be_evicted(core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    core.create_namespaced_pod_eviction("a", namespace, {"metadata": {"name": "a", "namespace": namespace}})
    assert core.list_namespaced_pod(namespace).items == []


def test_a_dry_run_evicts_and_binds_nothing(core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    core.create_namespaced_pod_eviction("a", namespace, {"metadata": {"name": "a"}}, dry_run="All")
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "nowhere"}}
    core.create_namespaced_pod_binding("a", namespace, binding, dry_run="All", _preload_content=False)
    core.create_namespaced_binding(namespace, binding, dry_run="All", _preload_content=False)
    assert core.read_namespaced_pod("a", namespace).spec.node_name is None


def test_a_log_comes_from_the_kubelet(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    kubelet.run(namespace, "a")
    assert core.read_namespaced_pod_log("a", namespace, tail_lines=5, timestamps=True) == "one\ntwo\n"
    path, authorization = kubelet.requests[0]
    assert path == f"/containerLogs/{namespace}/a/main?tailLines=5&timestamps=true"
    # Its own token: a node that lies about its address learns no other.
    assert authorization == f"Bearer {KUBELET_TOKEN}"


def test_a_followed_log_ends_with_its_container(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    kubelet.run(namespace, "a")
    lines = watch.Watch().stream(core.read_namespaced_pod_log, name="a", namespace=namespace, follow=True)
    first = next(lines)
    kubelet.follow_until.set()
    assert [first, *lines][:2] == ["one", "two"]


def test_a_client_that_leaves_a_log_is_not_followed_further(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    kubelet.run(namespace, "a")
    response = core.read_namespaced_pod_log("a", namespace, follow=True, _preload_content=False)
    response.read(4)
    response.close()
    assert kubelet.client_left.wait(20)


def test_a_container_that_has_not_started_has_no_log(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    with pytest.raises(ApiException) as error:
        core.read_namespaced_pod_log("a", namespace)
    assert error.value.status == 400
    assert message(error) == 'container "main" in pod "a" is waiting to start: ContainerCreating'


def test_a_log_of_several_containers_needs_a_choice(core: Any, namespace: str) -> None:
    containers = [{"name": name, "image": "i"} for name in ("main", "side")]
    core.create_namespaced_pod(namespace, pod_body("a", containers=containers, schedulerName="nobody"))
    with pytest.raises(ApiException) as error:
        core.read_namespaced_pod_log("a", namespace)
    assert message(error) == "a container name must be specified for pod a, choose one of: [main side]"


def test_init_containers_leave_no_doubt_which_container_is_meant(
    core: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    scheduled(core, kubelet, namespace, "a", initContainers=[{"name": "first", "image": "i"}])
    kubelet.run(namespace, "a")
    assert core.read_namespaced_pod_log("a", namespace) == "one\ntwo\n"
    assert kubelet.requests[0][0].startswith(f"/containerLogs/{namespace}/a/main")


def test_a_kubelet_that_is_gone_is_an_error_of_the_server(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    kubelet.run(namespace, "a")
    patch = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}
    core.patch_node_status(kubelet.name, patch)
    with pytest.raises(ApiException) as error:
        core.read_namespaced_pod_log("a", namespace)
    assert error.value.status == 500


def test_pods_go_with_their_node(core: Any, kubelet: FakeKubelet, namespace: str) -> None:
    scheduled(core, kubelet, namespace, "a")
    core.delete_node(kubelet.name)
    eventually(lambda: not core.list_namespaced_pod(namespace).items)
    kubelet.register()


def budget(api: Any, namespace: str, **spec: Any) -> None:
    body = {"metadata": {"name": "b"}, "spec": spec}
    client.PolicyV1Api(api).create_namespaced_pod_disruption_budget(namespace, body)


def eviction(core: Any, namespace: str, name: str) -> int:
    """Return the code of the answer to an eviction."""
    try:
        core.create_namespaced_pod_eviction(name, namespace, {"metadata": {"name": name}})
    except ApiException as error:
        return int(error.status)
    return 201


def labelled(core: Any, kubelet: FakeKubelet, namespace: str, name: str, *, ready: bool) -> None:
    """Run a pod of the app x."""
    body = pod_body(name, nodeName=kubelet.name) | {"metadata": {"name": name, "labels": {"app": "x"}}}
    core.create_namespaced_pod(namespace, body)
    kubelet.set_state(namespace, name, "Running", {"running": {}} if ready else {"waiting": {}})


APP = {"matchLabels": {"app": "x"}}


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"maxUnavailable": 0, "selector": APP}, 429),
        ({"maxUnavailable": 1, "selector": APP}, 201),
        ({"minAvailable": 1, "selector": {}}, 429),
        ({"minAvailable": 1}, 201),
    ],
    ids=["refused", "allowed", "of all pods", "of no pods"],
)
def test_a_disruption_budget_stands_in_the_way_of_an_eviction(
    api: Any, core: Any, kubelet: FakeKubelet, namespace: str, spec: dict[str, Any], code: int
) -> None:
    labelled(core, kubelet, namespace, "a", ready=True)
    budget(api, namespace, **spec)
    assert eviction(core, namespace, "a") == code


@pytest.mark.parametrize(
    ("healthy", "more", "code"),
    [(1, {}, 201), (0, {}, 429), (0, {"unhealthyPodEvictionPolicy": "AlwaysAllow"}, 201)],
    ids=["enough are ready", "too few are ready", "always"],
)
def test_a_pod_that_is_not_ready_may_go_while_enough_others_are(
    api: Any, core: Any, kubelet: FakeKubelet, namespace: str, healthy: int, more: dict[str, Any], code: int
) -> None:
    labelled(core, kubelet, namespace, "a", ready=False)
    labelled(core, kubelet, namespace, "other", ready=bool(healthy))
    budget(api, namespace, minAvailable=1, selector=APP, **more)
    assert eviction(core, namespace, "a") == code


def test_a_pending_pod_may_always_go(api: Any, core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    budget(api, namespace, minAvailable=1, selector={})
    assert eviction(core, namespace, "a") == 201
