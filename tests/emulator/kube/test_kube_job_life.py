"""Jobs that are suspended, that wait long, and how their pods are counted, through the official client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from emulator.kube.controllers.job_plan import plan
from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import eventually, job_body
from tests.emulator.kube.test_kube_jobs import ended, first_pod, pods


def suspended(batch: Any, namespace: str) -> tuple[str, str] | None:
    """Return status and reason of the condition of that name."""
    conditions = batch.read_namespaced_job("a", namespace).status.conditions or []
    return next(((each.status, each.reason) for each in conditions if each.type == "Suspended"), None)


def suspend(batch: Any, namespace: str, *, now: bool) -> None:
    batch.patch_namespaced_job("a", namespace, {"spec": {"suspend": now}})


def test_the_time_of_a_suspended_job_begins_when_it_is_resumed(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a", suspend=True))
    eventually(lambda: suspended(batch, namespace) == ("True", "JobSuspended"))
    assert batch.read_namespaced_job("a", namespace).status.start_time is None
    suspend(batch, namespace, now=False)
    eventually(lambda: suspended(batch, namespace) == ("False", "JobResumed"))
    assert batch.read_namespaced_job("a", namespace).status.start_time is not None
    first_pod(core, namespace, "a")
    events = core.list_namespaced_event(namespace, field_selector="involvedObject.kind=Job").items
    assert {event.reason for event in events} == {"Suspended", "Resumed", "SuccessfulCreate"}


def test_the_time_of_a_suspended_job_is_never_over_and_begins_anew() -> None:
    then, now = "2026-01-01T12:00:00Z", datetime(2026, 1, 2, tzinfo=UTC)
    spec = job_body("a", activeDeadlineSeconds=1, parallelism=1, completions=1, backoffLimit=6)["spec"]
    job = {"spec": spec | {"suspend": True}, "status": {"startTime": then}}
    waiting = plan(job, [], now=now, backoff=timedelta(0))
    assert (waiting.ended, waiting.again_at, waiting.status["startTime"]) == (None, None, then)
    resumed = plan({"spec": spec, "status": waiting.status}, [], now=now, backoff=timedelta(0))
    assert (resumed.ended, resumed.status["startTime"]) == (None, "2026-01-02T00:00:00Z")


def test_pods_that_go_with_a_suspension_have_not_failed(
    core: Any, batch: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    batch.create_namespaced_job(namespace, job_body("a", backoffLimit=0))
    name = first_pod(core, namespace, "a")
    suspend(batch, namespace, now=True)
    eventually(lambda: core.read_namespaced_pod(name, namespace).metadata.deletion_timestamp)
    core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    eventually(lambda: not pods(core, namespace, "a"))
    suspend(batch, namespace, now=False)
    second = first_pod(core, namespace, "a")
    assert second != name
    kubelet.finish(namespace, second)
    assert ended(batch, namespace, "a")[0] == "Complete"
    assert batch.read_namespaced_job("a", namespace).status.failed is None


def test_the_tries_of_an_init_container_count(core: Any, batch: Any, namespace: str) -> None:
    body = job_body("a", backoffLimit=2)
    body["spec"]["template"]["spec"] |= {"restartPolicy": "OnFailure"}
    batch.create_namespaced_job(namespace, body)
    status = {"name": "init", "ready": False, "restartCount": 2, "image": "", "imageID": ""}
    patch = {"status": {"initContainerStatuses": [status]}}
    core.patch_namespaced_pod_status(first_pod(core, namespace, "a"), namespace, patch)
    assert ended(batch, namespace, "a") == ("Failed", "BackoffLimitExceeded")


def test_a_deadline_further_than_time_reaches_is_none(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a", activeDeadlineSeconds=10**12))
    first_pod(core, namespace, "a")


def test_the_generation_of_a_job_counts_its_specs(core: Any, batch: Any, namespace: str) -> None:
    assert batch.create_namespaced_job(namespace, job_body("a")).metadata.generation == 1
    first_pod(core, namespace, "a")
    batch.patch_namespaced_job("a", namespace, {"metadata": {"labels": {"a": "b"}, "generation": 7}})
    assert batch.read_namespaced_job("a", namespace).metadata.generation == 1
    batch.patch_namespaced_job("a", namespace, {"spec": {"parallelism": 2}})
    assert batch.read_namespaced_job("a", namespace).metadata.generation == 2
    batch.patch_namespaced_job("a", namespace, {"metadata": {"finalizers": ["example.org/hold"]}})
    batch.delete_namespaced_job("a", namespace, propagation_policy="Background")
    assert batch.read_namespaced_job("a", namespace).metadata.generation == 3
    batch.patch_namespaced_job("a", namespace, {"metadata": {"finalizers": None}})


def test_a_job_tells_how_many_of_its_pods_are_ready(
    core: Any, batch: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    batch.create_namespaced_job(namespace, job_body("a", parallelism=2, completions=2))

    def ready() -> int | None:
        count: int | None = batch.read_namespaced_job("a", namespace).status.ready
        return count

    eventually(lambda: len(pods(core, namespace, "a")) == 2)
    names = [pod.metadata.name for pod in pods(core, namespace, "a")]
    assert ready() == 0
    kubelet.run(namespace, names[0])
    eventually(lambda: ready() == 1)
    for name in names:
        kubelet.finish(namespace, name)
    assert ended(batch, namespace, "a")[0] == "Complete"
    assert ready() == 0
