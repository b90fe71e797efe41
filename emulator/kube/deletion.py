"""Deleting objects: grace periods of pods, finalizers, propagation to dependents, namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.kube.cluster import Cluster
from emulator.kube.errors import bad_request, conflict, forbidden, invalid, invalid_options, unsupported
from emulator.kube.kinds import NAMESPACES, PODS
from emulator.kube.objects import (
    Object,
    clone,
    dig,
    is_deleting,
    is_finished,
    later,
    metadata,
    moment_of,
    name_of,
    timestamp,
    uid_of,
)
from emulator.kube.reads import number
from emulator.kube.resource import Resource
from emulator.kube.schema.decoding import Decoder, WrongForm
from emulator.kube.store import Key

FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}
PROTECTED_NAMESPACES = ("default", "kube-public", "kube-system")


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete. None stands for the default of the kind."""

    grace_period_s: int | None = None
    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


def delete_options(body: Any, query: dict[str, str]) -> DeleteOptions:
    """Read options from the body, a DeleteOptions object; from the query only where there is none (None)."""
    if body is not None and not isinstance(body, dict):
        raise bad_request("the body is no DeleteOptions object")
    try:
        given = _from_query(query) if body is None else Decoder().struct("DeleteOptions", body)
    except WrongForm as error:
        what = 'DeleteOptions in version "v1" cannot be handled as a DeleteOptions'
        raise bad_request(f"{what}: {error}") from error
    propagation = given.get("propagationPolicy")
    if propagation not in (None, "Background", *FINALIZERS):
        known = ("Foreground", "Background", "Orphan", "nil")
        raise invalid_options("DeleteOptions", [unsupported("propagationPolicy", propagation, known)])
    if "orphanDependents" in given:
        if propagation:
            why = "orphanDependents and deletionPropagation cannot be both set"
            raise invalid_options("DeleteOptions", [invalid("propagationPolicy", propagation, why)])
        propagation = "Orphan" if given["orphanDependents"] else "Background"
    wanted = given.get("preconditions") or {}
    grace = given.get("gracePeriodSeconds")
    dry_run = bool(given.get("dryRun"))
    return DeleteOptions(grace, propagation, wanted.get("uid"), wanted.get("resourceVersion"), dry_run)


def _from_query(query: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "propagationPolicy" in query:
        found["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        found["orphanDependents"] = query["orphanDependents"].lower() in ("true", "1")
    if query.get("gracePeriodSeconds"):
        found["gracePeriodSeconds"] = number(query, "gracePeriodSeconds")
    if "dryRun" in query:
        found["dryRun"] = [query["dryRun"]]
    return found


def delete(
    cluster: Cluster, resource: Resource, namespace: str, name: str, options: DeleteOptions | None = None
) -> tuple[Object, bool]:
    """Delete an object, now or when its finalizers and grace period allow; return it, and whether it is gone."""
    options = options or DeleteOptions()
    old = cluster.existing(resource, namespace, name)
    _check_preconditions(resource, old, options)
    key = Key(resource.id, namespace, name)
    if resource is NAMESPACES:
        return _terminate(cluster, key, old, options), False
    grace_s = _grace_period_s(resource, old, options)
    new = clone(old)
    if resource.has_generation and not is_deleting(old):
        # Who acts on the spec has something else to do from now on.
        new["metadata"]["generation"] = metadata(old).get("generation", 1) + 1
    _mark(cluster, new, grace_s)
    _add_finalizer(resource, new, options)
    held = bool(metadata(new).get("finalizers"))
    if options.dry_run:
        return new, not held and grace_s == 0
    # A pod is marked before it goes, so that its last event says it was deleted; of others only finalizers tell.
    if new != old and (held or resource is PODS):
        new = cluster.store.put(key, new)
    if held or grace_s > 0:
        return new, False
    last = cluster.store.delete(key)
    return (new if resource is PODS else last), True


def _check_preconditions(resource: Resource, old: Object, options: DeleteOptions) -> None:
    pairs = (
        ("UID", options.uid, uid_of(old)),
        ("ResourceVersion", options.resource_version, metadata(old)["resourceVersion"]),
    )
    for what, wanted, own in pairs:
        if wanted not in (None, own):
            why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {own}"
            raise conflict(resource, name_of(old), why)


def _grace_period_s(resource: Resource, old: Object, options: DeleteOptions) -> int:
    # Without a kubelet that runs it there is nothing to wait for.
    if resource is not PODS or not dig(old, "spec", "nodeName") or is_finished(old):
        return 0
    own = int(dig(old, "spec", "terminationGracePeriodSeconds") or 0)
    wanted = own if options.grace_period_s is None else options.grace_period_s
    wanted = 1 if wanted < 0 else wanted
    if not is_deleting(old):
        return wanted
    # A second request can hurry a pod, never give it more time.
    current = int(metadata(old).get("deletionGracePeriodSeconds", wanted))
    return current if options.grace_period_s is None else min(wanted, current)


def _mark(cluster: Cluster, obj: Object, grace_s: int) -> None:
    meta = obj["metadata"]
    if is_deleting(obj) and meta.get("deletionGracePeriodSeconds") == grace_s:
        return
    start = cluster.now()
    if begun := moment_of(meta.get("deletionTimestamp")):
        # The first request counts, not the one that hurries. Only what lasts beyond all time has a start to come.
        start = min(start, later(begun, -meta.get("deletionGracePeriodSeconds", 0)))
    meta["deletionTimestamp"] = timestamp(later(start, grace_s))
    meta["deletionGracePeriodSeconds"] = grace_s


def _add_finalizer(resource: Resource, obj: Object, options: DeleteOptions) -> None:
    finalizers = list(metadata(obj).get("finalizers") or [])
    policy = options.propagation
    if policy is None and not any(name in finalizers for name in FINALIZERS.values()):
        policy = resource.propagation
    if policy is None:
        return
    others = [name for name in finalizers if name not in FINALIZERS.values()]
    chosen = others + ([FINALIZERS[policy]] if policy in FINALIZERS else [])
    obj["metadata"].pop("finalizers", None)
    if chosen:
        obj["metadata"]["finalizers"] = chosen


def _terminate(cluster: Cluster, key: Key, old: Object, options: DeleteOptions) -> Object:
    if key.name in PROTECTED_NAMESPACES:
        raise forbidden(NAMESPACES, key.name, "this namespace may not be deleted")
    if is_deleting(old):
        return old
    new = clone(old)
    new["metadata"]["deletionTimestamp"] = timestamp(cluster.now())
    new["status"] = {"phase": "Terminating"}
    return new if options.dry_run else cluster.store.put(key, new)


def is_released(resource: Resource, obj: Object) -> bool:
    """Tell whether an object that is being deleted is held by nothing any more."""
    if not is_deleting(obj) or metadata(obj).get("finalizers"):
        return False
    if resource is NAMESPACES:
        return not dig(obj, "spec", "finalizers")
    return bool(metadata(obj).get("deletionGracePeriodSeconds", 0) == 0)
