"""Jobs and owners through the official client."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import eventually, job_body


def pods(core: Any, namespace: str, job: str) -> list[Any]:
    items: list[Any] = core.list_namespaced_pod(namespace, label_selector=f"job-name={job}").items
    return items


def first_pod(core: Any, namespace: str, job: str) -> str:
    """Return the name of a job's only pod."""
    (pod,) = eventually(lambda: pods(core, namespace, job), what="a pod")
    return str(pod.metadata.name)


def ended(batch: Any, namespace: str, job: str) -> tuple[str, str | None]:
    """Wait for the end of a job and return its type and reason."""

    def conditions() -> list[Any]:
        return batch.read_namespaced_job(job, namespace).status.conditions or []

    last = eventually(conditions, what="the end of the job")[-1]
    return last.type, last.reason


def test_a_job_makes_a_pod_that_belongs_to_it(core: Any, batch: Any, namespace: str) -> None:
    job = batch.create_namespaced_job(namespace, job_body("a"))
    assert (job.spec.parallelism, job.spec.completions, job.spec.backoff_limit) == (1, 1, 6)
    name = first_pod(core, namespace, "a")
    pod = core.read_namespaced_pod(name, namespace)
    assert name.startswith("a-")
    assert pod.metadata.owner_references[0].uid == job.metadata.uid
    labels = pod.metadata.labels
    assert labels["controller-uid"] == labels["batch.kubernetes.io/controller-uid"] == job.metadata.uid
    assert job.spec.selector.match_labels.items() <= labels.items()
    assert batch.read_namespaced_job("a", namespace).status.active == 1


def test_a_job_whose_pod_succeeds_is_complete(core: Any, batch: Any, kubelet: FakeKubelet, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a"))
    kubelet.finish(namespace, first_pod(core, namespace, "a"))
    assert ended(batch, namespace, "a") == ("Complete", None)
    status = batch.read_namespaced_job("a", namespace).status
    assert (status.succeeded, status.active, status.completion_time is None) == (1, None, False)
    events = core.list_namespaced_event(namespace, field_selector="involvedObject.kind=Job").items
    assert [event.reason for event in events] == ["SuccessfulCreate", "Completed"]


def test_a_job_fails_when_its_pods_failed_too_often(
    core: Any, batch: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    batch.create_namespaced_job(namespace, job_body("a", backoffLimit=1))
    kubelet.finish(namespace, first_pod(core, namespace, "a"), exit_code=1)
    eventually(lambda: len(pods(core, namespace, "a")) == 2, what="a second try")
    second = next(pod for pod in pods(core, namespace, "a") if pod.status.phase == "Pending")
    kubelet.finish(namespace, second.metadata.name, exit_code=1)
    assert ended(batch, namespace, "a") == ("Failed", "BackoffLimitExceeded")
    assert batch.read_namespaced_job("a", namespace).status.failed == 2
    assert len(pods(core, namespace, "a")) == 2


def test_a_job_that_takes_too_long_fails_and_its_pods_go(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a", activeDeadlineSeconds=1))
    assert ended(batch, namespace, "a") == ("Failed", "DeadlineExceeded")
    eventually(lambda: not pods(core, namespace, "a"))


def test_a_pod_that_was_deleted_is_replaced(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a"))
    name = first_pod(core, namespace, "a")
    core.delete_namespaced_pod(name, namespace)
    eventually(lambda: [pod for pod in pods(core, namespace, "a") if pod.metadata.name != name])


def test_a_finished_job_goes_after_its_time(core: Any, batch: Any, kubelet: FakeKubelet, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a", ttlSecondsAfterFinished=0))
    kubelet.finish(namespace, first_pod(core, namespace, "a"))
    eventually(lambda: not batch.list_namespaced_job(namespace).items)
    eventually(lambda: not pods(core, namespace, "a"))


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_the_pods_of_a_deleted_job_go_too(core: Any, batch: Any, namespace: str, policy: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a"))
    first_pod(core, namespace, "a")
    batch.delete_namespaced_job("a", namespace, propagation_policy=policy)
    eventually(lambda: not batch.list_namespaced_job(namespace).items)
    eventually(lambda: not pods(core, namespace, "a"))


def test_a_job_deleted_without_a_policy_leaves_its_pods(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a"))
    first_pod(core, namespace, "a")
    batch.delete_namespaced_job("a", namespace)
    eventually(lambda: not batch.list_namespaced_job(namespace).items)
    (pod,) = pods(core, namespace, "a")
    assert pod.metadata.owner_references is None
    assert pod.metadata.deletion_timestamp is None


def test_a_job_needs_a_restart_policy_of_jobs(batch: Any, namespace: str) -> None:
    body = job_body("a")
    body["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    with pytest.raises(ApiException) as error:
        batch.create_namespaced_job(namespace, body)
    assert error.value.status == 422


def test_what_has_lost_its_owner_goes(core: Any, namespace: str) -> None:
    owner = core.create_namespaced_config_map(namespace, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}
    body = {"metadata": {"name": "dependent", "ownerReferences": [reference]}}
    core.create_namespaced_config_map(namespace, body)
    core.delete_namespaced_config_map("owner", namespace)

    def names() -> list[str]:
        return [item.metadata.name for item in core.list_namespaced_config_map(namespace).items]

    eventually(lambda: names() == ["kube-root-ca.crt"])
