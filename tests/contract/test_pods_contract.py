"""What the pods of users' servers promise, as a list in memory and as the Kubernetes API of the emulator has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.builds.jobs_api import JobsApi
from functions.adapters.user_pods import UserPods
from functions.core.user_pods import Pods, UserPod
from tests.contract.cluster import Cluster
from tests.fakes.pods import FakePods

# As KubeSpawner labels them.
LABELS = {"app": "jupyterhub", "component": "singleuser-server", "hub.jupyter.org/username": "safe---u"}


def manifest(name: str, labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    return {"metadata": metadata, "spec": {"containers": [{"name": "notebook", "image": "x:1"}]}}


@pytest.fixture
def kubernetes(cluster: Cluster, tmp_path: Path) -> Iterator[UserPods]:
    namespace = cluster.namespace()
    for name in ("jupyter-one", "jupyter-two"):
        user = {"hub.jupyter.org/username": f"{name}@x"}
        cluster.call("POST", f"/api/v1/namespaces/{namespace}/pods", manifest(name, LABELS, user))
    builds = manifest("build-three", {"component": "binderless-build"}, {})
    cluster.call("POST", f"/api/v1/namespaces/{namespace}/pods", builds)
    with closing(JobsApi(namespace=namespace, kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))) as api:
        yield UserPods(api)


@pytest.fixture(params=["fake", "kubernetes"])
def pods(request: pytest.FixtureRequest) -> Pods:
    if request.param == "kubernetes":
        found: Pods = request.getfixturevalue("kubernetes")
        return found
    now = datetime.now(UTC)
    names = ("jupyter-one", "jupyter-two")
    return FakePods(*(UserPod(name=name, uid=name, user=f"{name}@x", created_at=now) for name in names))


def everything(pods: Pods) -> list[UserPod]:
    found, after = pods.list()
    everything = [*found]
    while after:
        found, after = pods.list(after)
        everything.extend(found)
    return sorted((pod for pod in everything if not pod.ending), key=lambda pod: pod.name)


def test_only_pods_of_users_are_listed_with_their_owners(pods: Pods) -> None:
    assert [(pod.name, pod.user) for pod in everything(pods)] == [
        ("jupyter-one", "jupyter-one@x"),
        ("jupyter-two", "jupyter-two@x"),
    ]


def test_a_pod_tells_its_age(pods: Pods) -> None:
    for pod in everything(pods):
        assert pod.created_at is not None
        assert timedelta() <= datetime.now(UTC) - pod.created_at + timedelta(seconds=1) < timedelta(minutes=5)


def test_a_deleted_pod_is_gone_and_may_be_deleted_again(pods: Pods) -> None:
    one, _ = everything(pods)
    pods.delete(one)
    pods.delete(one)
    assert [pod.name for pod in everything(pods)] == ["jupyter-two"]


def test_a_later_pod_of_the_same_name_is_left_alone(pods: Pods) -> None:
    one, two = everything(pods)
    pods.delete(replace(one, uid="00000000-0000-0000-0000-000000000000"))
    assert everything(pods) == [one, two]
