"""Claims and volumes through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from tests.emulator.kube.serving import eventually

MIB = {"storage": "1Mi"}


@pytest.fixture
def volumes(core: Any, namespace: str) -> Iterator[str]:
    """The name of a class of the test's own, whose volumes go with the test."""
    yield namespace
    for volume in core.list_persistent_volume().items:
        if volume.spec.storage_class_name == namespace or volume.metadata.name.startswith(namespace):
            core.delete_persistent_volume(volume.metadata.name)


def claim(core: Any, namespace: str, name: str, **spec: Any) -> Any:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": MIB}} | spec
    return core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": name}, "spec": body})


def bound(core: Any, namespace: str, name: str) -> Any:
    """Return a claim when it is bound."""

    def look() -> Any:
        found = core.read_namespaced_persistent_volume_claim(name, namespace)
        return found if found.status.phase == "Bound" else None

    return eventually(look, what="a volume")


def volume(core: Any, name: str, **spec: Any) -> Any:
    body = {"accessModes": ["ReadWriteOnce"], "capacity": MIB, "hostPath": {"path": "/srv"}} | spec
    return core.create_persistent_volume({"metadata": {"name": name}, "spec": body})


def phase(core: Any, name: str) -> str:
    """Return the phase of a volume; empty when it is gone."""
    found = core.list_persistent_volume(field_selector=f"metadata.name={name}").items
    return str(found[0].status.phase) if found else ""


def test_a_volume_that_is_bound_outlives_its_deletion_until_its_claim_goes(core: Any, namespace: str) -> None:
    claim(core, namespace, "a", storageClassName="local")
    name = bound(core, namespace, "a").spec.volume_name
    answer = core.delete_persistent_volume(name)
    assert answer.metadata.finalizers == ["kubernetes.io/pv-protection"]
    # By the time another claim is bound, the controller has seen the deletion.
    claim(core, namespace, "b", storageClassName="local")
    bound(core, namespace, "b")
    assert core.read_persistent_volume(name).metadata.deletion_timestamp is not None
    assert phase(core, name) == "Bound"
    core.delete_namespaced_persistent_volume_claim("a", namespace)
    eventually(lambda: not phase(core, name), what="the end of the volume")


def test_a_volume_without_a_claim_goes_at_once(core: Any, volumes: str) -> None:
    volume(core, volumes)
    eventually(lambda: phase(core, volumes) == "Available")
    core.delete_persistent_volume(volumes)
    eventually(lambda: not phase(core, volumes), what="the end of the volume")


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_a_volume_can_be_kept_for_a_claim_that_is_not_there_yet(core: Any, volumes: str, policy: str) -> None:
    kept_for = {"namespace": volumes, "name": "mine"}
    volume(core, volumes, persistentVolumeReclaimPolicy=policy, claimRef=kept_for, storageClassName=volumes)
    eventually(lambda: phase(core, volumes) == "Available")
    claim(core, volumes, "other", storageClassName=volumes)
    # The other one was created first; had it been bound, nothing were left for this one.
    claim(core, volumes, "mine", storageClassName=volumes)
    made = bound(core, volumes, "mine")
    assert made.spec.volume_name == volumes
    assert core.read_persistent_volume(volumes).spec.claim_ref.uid == made.metadata.uid


def test_a_released_volume_is_free_again_when_its_claim_is_forgotten(core: Any, volumes: str) -> None:
    volume(core, volumes, storageClassName=volumes)
    claim(core, volumes, "a", storageClassName=volumes)
    bound(core, volumes, "a")
    core.delete_namespaced_persistent_volume_claim("a", volumes)
    eventually(lambda: phase(core, volumes) == "Released")
    core.patch_persistent_volume(volumes, {"spec": {"claimRef": None}})
    eventually(lambda: phase(core, volumes) == "Available")


def test_a_claim_that_names_a_volume_waits_for_it(core: Any, volumes: str) -> None:
    claim(core, volumes, "a", storageClassName="local", volumeName=volumes)
    claim(core, volumes, "b", storageClassName="local")
    bound(core, volumes, "b")
    assert core.read_namespaced_persistent_volume_claim("a", volumes).status.phase == "Pending"
    volume(core, volumes, storageClassName="local")
    assert bound(core, volumes, "a").spec.volume_name == volumes


def test_a_claim_without_a_class_gets_the_default_one(core: Any, api: Any, namespace: str) -> None:
    claim(core, namespace, "none", storageClassName="")
    claim(core, namespace, "waiting")
    classes = client.StorageV1Api(api)
    mark = "storageclass.kubernetes.io/is-default-class"
    classes.patch_storage_class("local", {"metadata": {"annotations": {mark: "true"}}})
    try:
        claim(core, namespace, "new")
        for name in ("new", "waiting"):
            assert bound(core, namespace, name).spec.storage_class_name == "local"
        assert core.read_namespaced_persistent_volume_claim("none", namespace).status.phase == "Pending"
    finally:
        classes.patch_storage_class("local", {"metadata": {"annotations": {mark: None}}})
