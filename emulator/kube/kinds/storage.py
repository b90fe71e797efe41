"""Claims for volumes that outlive pods, the volumes, and the classes they are made by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from emulator.kube.errors import Cause, forbidden_field, invalid, required, unsupported
from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.objects import Object, clone, dig, is_deleting
from emulator.kube.quantities import WHAT_IT_IS, quantity
from emulator.kube.resource import STATUS, Column, Resource

PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")


def _begin_claim(claim: Object) -> None:
    claim["status"] = {"phase": "Pending"}
    # A claim that a pod uses is not taken away under it.
    protect(claim, PROTECTION)


def protect(obj: Object, finalizer: str) -> None:
    """Let an object stay until what uses it is gone."""
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)


def _default_claim(claim: Object) -> None:
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    claim.setdefault("status", {}).setdefault("phase", "Pending")


def _claim_causes(claim: Object) -> list[Cause]:
    return list(_all_claim_causes(claim["spec"]))


def _all_claim_causes(spec: Object) -> Iterator[Cause]:
    modes = spec.get("accessModes") or []
    if not modes:
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in MODES:
            yield unsupported("spec.accessModes", mode, sorted(MODES))
    asked = dig(spec, "resources", "requests", "storage")
    field = "spec.resources[storage]"
    if asked is None:
        yield required(field)
    elif (amount := quantity(asked)) is None:
        yield invalid(field, str(asked), WHAT_IT_IS)
    elif amount <= 0:
        yield invalid(field, str(asked), "must be greater than zero")


def _claim_update_causes(new: Object, old: Object) -> list[Cause]:
    before, after = clone(old["spec"]), clone(new["spec"])
    for spec in (before, after):
        spec.pop("resources", None)
    # The controller names the volume, once, and before that the default class of a claim that had none.
    if "volumeName" not in before:
        after.pop("volumeName", None)
        if "storageClassName" not in before:
            after.pop("storageClassName", None)
    if before == after:
        return []
    why = "spec is immutable after creation except resources.requests for bound claims"
    return [forbidden_field("spec", why)]


def _modes(listed: Any) -> str:
    return ",".join(MODES.get(mode, mode) for mode in listed or [])


def _phase(obj: Object, _now: datetime) -> str:
    return "Terminating" if is_deleting(obj) else str(obj["status"]["phase"])


PERSISTENT_VOLUME_CLAIMS = Resource(
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short_names=("pvc",),
    subresources=(STATUS,),
    begin=_begin_claim,
    default=_default_claim,
    validate=_claim_causes,
    validate_update=_claim_update_causes,
    answers_deleted_object=True,
    columns=(
        NAME,
        Column("Status", _phase),
        Column("Volume", lambda claim, _now: dig(claim, "spec", "volumeName") or ""),
        Column("Capacity", lambda claim, _now: dig(claim, "status", "capacity", "storage") or ""),
        Column("Access Modes", lambda claim, _now: _modes(dig(claim, "status", "accessModes"))),
        Column("StorageClass", lambda claim, _now: dig(claim, "spec", "storageClassName") or ""),
        AGE,
        Column("VolumeMode", lambda claim, _now: claim["spec"]["volumeMode"], priority=1),
    ),
)


def _begin_volume(volume: Object) -> None:
    volume["status"] = {"phase": "Pending"}
    # https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
    protect(volume, VOLUME_PROTECTION)


def _default_volume(volume: Object) -> None:
    volume.setdefault("status", {}).setdefault("phase", "Pending")
    spec = volume.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")


def _volume_causes(volume: Object) -> list[Cause]:
    spec, causes = volume["spec"], []
    if not spec.get("accessModes"):
        causes.append(required("spec.accessModes"))
    if not dig(spec, "capacity", "storage"):
        causes.append(required("spec.capacity"))
    if spec["persistentVolumeReclaimPolicy"] not in RECLAIM_POLICIES:
        field = "spec.persistentVolumeReclaimPolicy"
        causes.append(unsupported(field, spec["persistentVolumeReclaimPolicy"], RECLAIM_POLICIES))
    return causes


def _claim_of(volume: Object, _now: datetime) -> str:
    claim = dig(volume, "spec", "claimRef") or {}
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


PERSISTENT_VOLUMES = Resource(
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    short_names=("pv",),
    subresources=(STATUS,),
    begin=_begin_volume,
    default=_default_volume,
    validate=_volume_causes,
    answers_deleted_object=True,
    columns=(
        NAME,
        Column("Capacity", lambda volume, _now: dig(volume, "spec", "capacity", "storage") or ""),
        Column("Access Modes", lambda volume, _now: _modes(dig(volume, "spec", "accessModes"))),
        Column("Reclaim Policy", lambda volume, _now: volume["spec"]["persistentVolumeReclaimPolicy"]),
        Column("Status", _phase),
        Column("Claim", _claim_of),
        Column("StorageClass", lambda volume, _now: dig(volume, "spec", "storageClassName") or ""),
        Column("Reason", lambda volume, _now: dig(volume, "status", "reason") or ""),
        AGE,
        Column("VolumeMode", lambda volume, _now: volume["spec"]["volumeMode"], priority=1),
    ),
)


def _default_class(made: Object) -> None:
    made.setdefault("reclaimPolicy", "Delete")
    made.setdefault("volumeBindingMode", "Immediate")


def _class_causes(made: Object) -> list[Cause]:
    causes = [] if made.get("provisioner") else [required("provisioner")]
    if made["reclaimPolicy"] not in RECLAIM_POLICIES:
        causes.append(unsupported("reclaimPolicy", made["reclaimPolicy"], RECLAIM_POLICIES))
    if made["volumeBindingMode"] not in BINDING_MODES:
        causes.append(unsupported("volumeBindingMode", made["volumeBindingMode"], BINDING_MODES))
    return causes


STORAGE_CLASSES = Resource(
    kind="StorageClass",
    plural="storageclasses",
    group="storage.k8s.io",
    namespaced=False,
    short_names=("sc",),
    default=_default_class,
    validate=_class_causes,
    answers_deleted_object=True,
    columns=(
        NAME,
        Column("Provisioner", lambda made, _now: made["provisioner"]),
        Column("ReclaimPolicy", lambda made, _now: made["reclaimPolicy"]),
        Column("VolumeBindingMode", lambda made, _now: made["volumeBindingMode"]),
        Column("AllowVolumeExpansion", lambda made, _now: bool(made.get("allowVolumeExpansion"))),
        AGE,
    ),
)
