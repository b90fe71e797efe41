"""Jobs whose pods have an index each, as Kubernetes' documentation tells of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from emulator.kube.controllers.job_indexes import INDEX, VARIABLE, free, merged, read, text_of
from emulator.kube.controllers.job_plan import TRACKING, plan
from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import eventually, job_body

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def indexed(name: str, completions: int, **spec: Any) -> dict[str, Any]:
    return job_body(name, completionMode="Indexed", completions=completions, **spec)


def pods(core: Any, namespace: str) -> dict[str, Any]:
    """The pods that have not ended, by index."""
    items = core.list_namespaced_pod(namespace).items
    living = [
        pod for pod in items if pod.status.phase in ("Pending", "Running") and not pod.metadata.deletion_timestamp
    ]
    return {pod.metadata.annotations[INDEX]: pod for pod in living}


def pod_of(core: Any, namespace: str, index: str, *, after: str = "") -> Any:
    """The pod of an index, once there is one with another name than *after*."""

    def look() -> Any:
        pod = pods(core, namespace).get(index)
        return pod if pod is not None and pod.metadata.name != after else None

    return eventually(look, what=f"the pod of index {index}")


def finish(core: Any, kubelet: FakeKubelet, namespace: str, index: str) -> None:
    kubelet.finish(namespace, pod_of(core, namespace, index).metadata.name)


def test_every_pod_knows_its_index(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, indexed("a", 2, parallelism=2))
    eventually(lambda: pods(core, namespace).keys() == {"0", "1"}, what="two pods")
    second = pod_of(core, namespace, "1")
    assert second.metadata.name.startswith("a-1-")
    assert second.spec.hostname == "a-1"
    assert second.metadata.labels[INDEX] == "1"
    (variable,) = second.spec.containers[0].env
    assert (variable.name, variable.value_from.field_ref.field_path) == (VARIABLE, f"metadata.labels['{INDEX}']")


def test_one_success_of_each_index_completes_the_job(
    core: Any, batch: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    batch.create_namespaced_job(namespace, indexed("a", 4, parallelism=3))
    for index in ("2", "1"):
        finish(core, kubelet, namespace, index)
    eventually(lambda: batch.read_namespaced_job("a", namespace).status.succeeded == 2)
    status = batch.read_namespaced_job("a", namespace).status
    assert (status.completed_indexes, status.active) == ("1,2", 2)
    for index in ("3", "0"):
        finish(core, kubelet, namespace, index)
    eventually(lambda: batch.read_namespaced_job("a", namespace).status.completion_time)
    status = batch.read_namespaced_job("a", namespace).status
    assert (status.completed_indexes, status.succeeded, status.failed) == ("0-3", 4, None)


def test_a_pod_that_is_gone_is_followed_by_one_of_the_same_index(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, indexed("a", 2, parallelism=2))
    first = pod_of(core, namespace, "1")
    core.delete_namespaced_pod(first.metadata.name, namespace)
    second = pod_of(core, namespace, "1", after=first.metadata.name)
    assert second.spec.hostname == first.spec.hostname


def test_a_pod_that_says_it_has_the_index_itself_is_left_as_it_is(core: Any, batch: Any, namespace: str) -> None:
    job = indexed("a", 1)
    job["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": VARIABLE, "value": "mine"}]
    batch.create_namespaced_job(namespace, job)
    pod = pod_of(core, namespace, "0")
    assert [variable.value for variable in pod.spec.containers[0].env] == ["mine"]


def test_completions_and_parallelism_grow_and_shrink_together(core: Any, batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, indexed("a", 1))
    batch.patch_namespaced_job("a", namespace, {"spec": {"completions": 3, "parallelism": 3}})
    eventually(lambda: pods(core, namespace).keys() == {"0", "1", "2"})
    batch.patch_namespaced_job("a", namespace, {"spec": {"completions": 1, "parallelism": 1}})
    eventually(lambda: pods(core, namespace).keys() == {"0"})
    with pytest.raises(ApiException, match="can only be modified in tandem with spec.parallelism"):
        batch.patch_namespaced_job("a", namespace, {"spec": {"completions": 2}})


@pytest.mark.parametrize(
    ("name", "spec", "why"),
    [
        ("a", {"completions": None}, "spec.completions: Required value: when completion mode is Indexed"),
        ("a", {"parallelism": 100_001}, "must be less than or equal to 100000 when completion mode is Indexed"),
        ("a" * 62, {}, f"will not able to create pod with invalid DNS label: {'a' * 62}-0"),
        ("a.b", {}, "will not able to create pod with invalid DNS label: a.b-0"),
        ("a", {"completionMode": "Other"}, 'Unsupported value: \\"Other\\"'),
    ],
    ids=["completions", "parallelism", "long", "dot", "mode"],
)
def test_what_cannot_be_an_indexed_job_is_refused(
    batch: Any, namespace: str, name: str, spec: dict[str, Any], why: str
) -> None:
    body = indexed(name, 1)
    body["spec"] |= {"parallelism": 1} | spec
    with pytest.raises(ApiException) as refused:
        batch.create_namespaced_job(namespace, body)
    assert refused.value.status == 422
    assert why in refused.value.body


def test_kubectl_describes_the_indexes(
    npm_kubectl: Kubectl, core: Any, batch: Any, kubelet: FakeKubelet, namespace: str
) -> None:
    batch.create_namespaced_job(namespace, indexed("a", 2))
    finish(core, kubelet, namespace, "0")
    eventually(lambda: batch.read_namespaced_job("a", namespace).status.succeeded == 1)
    lines = [line.split() for line in npm_kubectl("describe", "job", "a").splitlines()]
    assert ["Completion", "Mode:", "Indexed"] in lines
    assert ["Completed", "Indexes:", "0"] in lines


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("1,3-5,7", [range(1, 2), range(3, 6), range(7, 8)]),
        ("", []),
        ("0,1", [range(0, 2)]),
        ("5-3,x,-1,1-,٣,2", [range(1, 3)]),
        ("8-99", [range(8, 9)]),
        ("9-12,99999999999999999999", []),
    ],
)
def test_indexes_are_read_as_far_as_they_are_some(text: str, ranges: list[range]) -> None:
    assert read(text, below=9) == ranges


def test_three_in_a_row_are_written_as_a_range() -> None:
    assert text_of(merged([range(7, 8), range(1, 2), range(4, 6), range(3, 4), range(8, 9)])) == "1,3-5,7,8"


def test_the_lowest_free_indexes_come_first() -> None:
    assert list(free([range(1, 3)], {0, 4}, below=7)) == [3, 5, 6]


def an_indexed_pod(index: str, phase: str = "Running") -> dict[str, Any]:
    meta = {"finalizers": [TRACKING], "annotations": {INDEX: index}}
    return {"metadata": meta, "status": {"phase": phase}}


def a_job(**spec: Any) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never"}}
    defaults = {"parallelism": 2, "completions": 2, "backoffLimit": 6, "completionMode": "Indexed"}
    return {"spec": {"template": template} | defaults | spec}


@pytest.mark.parametrize("index", ["0", "7", "x", ""], ids=["twice", "too high", "no number", "none"])
def test_a_pod_without_an_index_of_its_own_is_too_many(index: str) -> None:
    first, other = an_indexed_pod("0"), an_indexed_pod(index)
    decided = plan(a_job(), [first, other], now=NOW, backoff=timedelta(0))
    assert [pod is other for pod in decided.delete] == [True]
    assert (tuple(decided.create), decided.status["active"]) == ((1,), 2)


def test_an_index_that_succeeds_twice_counts_once() -> None:
    job = a_job()
    job["status"] = {"completedIndexes": "0", "succeeded": 1}
    decided = plan(job, [an_indexed_pod("0", "Succeeded")], now=NOW, backoff=timedelta(0))
    assert (decided.status["completedIndexes"], decided.status["succeeded"], decided.ended) == ("0", 1, None)


def test_a_status_that_somebody_has_made_up_costs_no_memory_and_no_time() -> None:
    job = a_job(completions=2**31 - 1)
    job["status"] = {"completedIndexes": "0-2000000000,2000000002-9999999999"}
    begun = time.process_time()
    decided = plan(job, [], now=NOW, backoff=timedelta(0))
    assert tuple(decided.create) == (2_000_000_001,)
    assert time.process_time() - begun < 1
