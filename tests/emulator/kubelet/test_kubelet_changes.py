"""What may change of a pod that runs, and takes effect: its deadline, and the images of its containers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.kubelet.cluster import REGISTRY, SHELL, Cluster, Namespace, eventually

SECOND = f"{REGISTRY}/binderless/shell:2"
MISSING = f"{REGISTRY}/binderless/shell:none"


@pytest.fixture(autouse=True)
def second_image(cluster: Cluster) -> None:
    made = cluster.images.image(SECOND)
    cluster.images.images[SECOND] = cluster.images.image(SECOND, env=made.env | {"FROM_IMAGE": "second"})


def change_image(namespace: Namespace, image: str, group: str = "containers", name: str = "main") -> None:
    namespace.patch("pods/a", {"spec": {group: [{"name": name, "image": image}]}})


def container(pod: Any) -> Any:
    return (pod["status"].get("containerStatuses") or [{"state": {}}])[0]


@pytest.mark.parametrize("before", [{}, {"activeDeadlineSeconds": 600}], ids=["set", "lowered"])
def test_a_deadline_given_to_a_running_pod_ends_it(namespace: Namespace, before: dict[str, Any]) -> None:
    namespace.run("sleep 600", terminationGracePeriodSeconds=1, **before)
    namespace.phase("Running")
    namespace.patch("pods/a", {"spec": {"activeDeadlineSeconds": 1}})
    assert namespace.phase("Failed")["status"]["reason"] == "DeadlineExceeded"
    assert [reason for reason, _ in namespace.events()].count("DeadlineExceeded") == 1


@pytest.mark.parametrize("policy", ["Never", "Always"])
def test_a_container_is_run_again_for_another_image(namespace: Namespace, policy: str) -> None:
    namespace.run("echo $FROM_IMAGE; sleep 600", restart=policy, terminationGracePeriodSeconds=1)
    first = container(namespace.phase("Running"))
    eventually(lambda: namespace.output() == "yes\n")
    change_image(namespace, SECOND)
    pod = namespace.wait(lambda pod: container(pod)["restartCount"] == 1)
    assert namespace.phase("Running", "Failed")["status"]["phase"] == "Running"
    now = container(namespace.wait(lambda pod: "running" in container(pod)["state"]))
    assert (first["image"], now["image"]) == (SHELL, SECOND)
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 143
    eventually(lambda: namespace.output() == "second\n")
    assert namespace.output(previous="true") == "yes\n"
    assert namespace.event("Killing") == "Container main definition changed, will be restarted"


def test_an_image_that_cannot_be_had_may_be_replaced_by_one_that_can(namespace: Namespace) -> None:
    namespace.run("echo $FROM_IMAGE", image=MISSING)
    namespace.wait(lambda pod: "waiting" in container(pod)["state"] and container(pod)["image"] == MISSING)
    namespace.event("BackOff")
    change_image(namespace, SECOND)
    assert container(namespace.phase("Succeeded"))["restartCount"] == 0
    assert namespace.output() == "second\n"


def test_a_running_container_whose_next_image_cannot_be_had_waits_for_one(namespace: Namespace) -> None:
    namespace.run("sleep 600", terminationGracePeriodSeconds=1)
    namespace.phase("Running")
    change_image(namespace, MISSING)
    waiting = namespace.wait(lambda pod: "waiting" in container(pod)["state"])
    assert waiting["status"]["phase"] == "Running"
    change_image(namespace, SECOND)
    namespace.wait(lambda pod: "running" in container(pod)["state"])
    change_image(namespace, MISSING)
    namespace.wait(lambda pod: "waiting" in container(pod)["state"])
    namespace.delete()
    namespace.gone()


def test_another_image_of_an_init_container_leaves_the_run_alone(namespace: Namespace) -> None:
    wait = {"name": "wait", "image": SHELL, "command": ["sh", "-c", "echo $FROM_IMAGE; sleep 1"]}
    later = wait | {"name": "later", "command": ["sh", "-c", "echo $FROM_IMAGE"]}
    namespace.run("echo $FROM_IMAGE", initContainers=[wait, later])
    namespace.wait(lambda pod: "running" in (pod["status"].get("initContainerStatuses") or [{"state": {}}])[0]["state"])
    for name in ("wait", "later"):
        change_image(namespace, SECOND, "initContainers", name)
    change_image(namespace, SECOND)
    pod = namespace.phase("Succeeded")
    assert pod["status"]["initContainerStatuses"][0]["restartCount"] == 0
    said = [namespace.output(container=name) for name in ("wait", "later", "main")]
    assert said == ["yes\n", "second\n", "second\n"]
