"""Dependents and their owners, and what holds a namespace, through the official client."""

from __future__ import annotations

from typing import Any

from tests.emulator.kube.serving import eventually


def a_map(core: Any, namespace: str, name: str, *owners: Any) -> Any:
    """Create a config map that belongs to others."""
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner.metadata.name,
            "uid": owner.metadata.uid,
            "blockOwnerDeletion": True,
        }
        for owner in owners
    ]
    body = {"metadata": {"name": name, "ownerReferences": references}}
    return core.create_namespaced_config_map(namespace, body)


def names(core: Any, namespace: str) -> list[str]:
    found = (item.metadata.name for item in core.list_namespaced_config_map(namespace).items)
    return [name for name in found if name != "kube-root-ca.crt"]


def owner_names(core: Any, namespace: str, name: str) -> list[str]:
    references = core.read_namespaced_config_map(name, namespace).metadata.owner_references or []
    return [reference.name for reference in references]


def test_foreground_deletion_leaves_what_another_owner_keeps(core: Any, namespace: str) -> None:
    first, second = a_map(core, namespace, "first"), a_map(core, namespace, "second")
    a_map(core, namespace, "dependent", first, second)
    core.delete_namespaced_config_map("first", namespace, propagation_policy="Foreground")
    eventually(lambda: names(core, namespace) == ["dependent", "second"])
    assert owner_names(core, namespace, "dependent") == ["second"]


def test_a_reference_to_an_owner_that_is_gone_goes_while_another_owner_lives(core: Any, namespace: str) -> None:
    first, second = a_map(core, namespace, "first"), a_map(core, namespace, "second")
    a_map(core, namespace, "dependent", first, second)
    core.delete_namespaced_config_map("first", namespace)
    eventually(lambda: owner_names(core, namespace, "dependent") == ["second"])


def test_what_loses_both_owners_at_once_goes_with_them(core: Any, namespace: str) -> None:
    first, second = a_map(core, namespace, "first"), a_map(core, namespace, "second")
    held = a_map(core, namespace, "held", first, second)
    core.patch_namespaced_config_map("held", namespace, {"metadata": {"finalizers": ["example.org/hold"]}})
    core.delete_namespaced_config_map("held", namespace)
    for owner in ("first", "second"):
        core.delete_namespaced_config_map(owner, namespace, propagation_policy="Foreground")
    assert names(core, namespace) == ["first", "held", "second"]
    assert held.metadata.owner_references[0].block_owner_deletion
    core.patch_namespaced_config_map("held", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: not names(core, namespace))


def test_an_owner_waits_no_longer_for_what_is_not_its_own_any_more(core: Any, namespace: str) -> None:
    owner = a_map(core, namespace, "owner")
    a_map(core, namespace, "held", owner)
    core.patch_namespaced_config_map("held", namespace, {"metadata": {"finalizers": ["example.org/hold"]}})
    core.delete_namespaced_config_map("owner", namespace, propagation_policy="Foreground")
    eventually(lambda: core.read_namespaced_config_map("held", namespace).metadata.deletion_timestamp)
    core.patch_namespaced_config_map("held", namespace, {"metadata": {"ownerReferences": None}})
    eventually(lambda: names(core, namespace) == ["held"])


def test_an_empty_namespace_stays_while_a_finalizer_holds_it(core: Any, namespace: str) -> None:
    core.patch_namespace(namespace, {"metadata": {"finalizers": ["example.org/hold"]}})
    a_map(core, namespace, "content")
    core.delete_namespace(namespace)
    eventually(lambda: not core.read_namespace(namespace).spec.finalizers)
    found = core.read_namespace(namespace)
    assert (found.status.phase, names(core, namespace)) == ("Terminating", [])
    assert found.metadata.finalizers == ["example.org/hold"]
    assert {condition.status for condition in found.status.conditions} == {"False"}
    core.patch_namespace(namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: namespace not in [each.metadata.name for each in core.list_namespace().items])
