"""Claims get volumes: one that is there and fits, or a new one of their class; and a volume goes with its claim."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from emulator.kube.cluster import Cluster
from emulator.kube.controllers.events import record
from emulator.kube.deletion import delete
from emulator.kube.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from emulator.kube.kinds.storage import PROTECTION, VOLUME_PROTECTION, protect
from emulator.kube.objects import Object, dig, is_deleting, is_finished, metadata, name_of, namespace_of, uid_of
from emulator.kube.quantities import quantity
from emulator.kube.resource import Resource
from emulator.kube.store import Change, Key
from emulator.kube.writes import create, modify

# The class of volumes that kubelets keep as folders. It is not the default: a claim has to ask for it by its name.
LOCAL = "local"
PROVISIONER = "binderless.local/folder"
SOURCE = "persistentvolume-controller"
NO_CLASS = "no persistent volumes available for this claim and no storage class is set"


def create_local_class(cluster: Cluster) -> None:
    """Make sure of the storage class that this cluster has volumes for."""
    if cluster.store.get(Key(STORAGE_CLASSES.id, "", LOCAL)) is None:
        create(cluster, STORAGE_CLASSES, "", {"metadata": {"name": LOCAL}, "provisioner": PROVISIONER})


def claim_names(pod: Object) -> list[str]:
    """Return the names of the claims that a pod mounts."""
    sources = (volume.get("persistentVolumeClaim") for volume in dig(pod, "spec", "volumes") or [])
    return [str(source["claimName"]) for source in sources if source and source.get("claimName")]


@dataclass(frozen=True, slots=True)
class Claims:
    """Binds claims and volumes, and lets both go."""

    cluster: Cluster

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.key.resource in (PERSISTENT_VOLUME_CLAIMS.id, PERSISTENT_VOLUMES.id):
            gone = change.type == "DELETED" and change.key.resource == PERSISTENT_VOLUME_CLAIMS.id
            volume = dig(change.object, "spec", "volumeName") if gone else None
            return (Key(PERSISTENT_VOLUMES.id, "", str(volume)),) if volume else (change.key,)
        if change.key.resource == STORAGE_CLASSES.id:
            return self._all_claims()
        if change.key.resource == PODS.id and (change.type == "DELETED" or is_finished(change.object)):
            names = claim_names(change.object)
            return [Key(PERSISTENT_VOLUME_CLAIMS.id, change.key.namespace, name) for name in names]
        return ()

    def start(self) -> Iterable[Key]:
        volumes = self.cluster.store.objects(PERSISTENT_VOLUMES.id)
        return [*self._all_claims(), *(Key(PERSISTENT_VOLUMES.id, "", name_of(volume)) for volume in volumes)]

    def _all_claims(self) -> list[Key]:
        claims = self.cluster.store.objects(PERSISTENT_VOLUME_CLAIMS.id)
        return [Key(PERSISTENT_VOLUME_CLAIMS.id, namespace_of(claim), name_of(claim)) for claim in claims]

    def reconcile(self, key: Key) -> datetime | None:
        obj = self.cluster.store.get(key)
        if obj is None:
            return None
        if key.resource == PERSISTENT_VOLUMES.id:
            self._volume(obj)
        elif is_deleting(obj):
            self._release(key, obj)
        elif dig(obj, "status", "phase") == "Pending":
            self._bind(obj)
        return None

    def _release(self, key: Key, claim: Object) -> None:
        """Let a claim go that no pod uses any more."""
        pods = self.cluster.store.objects(PODS.id, key.namespace)
        if not any(key.name in claim_names(pod) and not is_finished(pod) for pod in pods):
            self._unprotect(PERSISTENT_VOLUME_CLAIMS, claim, PROTECTION)

    def _unprotect(self, resource: Resource, obj: Object, finalizer: str) -> None:
        finalizers = metadata(obj).get("finalizers") or []

        def drop(new: Object) -> None:
            new["metadata"]["finalizers"] = [name for name in finalizers if name != finalizer]

        if finalizer in finalizers:
            modify(self.cluster, resource, namespace_of(obj), name_of(obj), drop)

    def _bind(self, claim: Object) -> None:
        claim = self._with_class(claim)
        volume = self._fitting(claim) or self._made(claim)
        if volume is not None:
            self._tie(claim, volume)

    def _with_class(self, claim: Object) -> Object:
        """Give a claim that names no class the default one; one that asks for none, with an empty name, keeps that.

        https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retroactive-default-storageclass-assignment
        """
        default = self._default_class() if "storageClassName" not in claim["spec"] else ""
        if not default:
            return claim

        def name(new: Object) -> None:
            new["spec"]["storageClassName"] = default

        return modify(self.cluster, PERSISTENT_VOLUME_CLAIMS, namespace_of(claim), name_of(claim), name)

    def _default_class(self) -> str:
        marked = (each for each in self.cluster.store.objects(STORAGE_CLASSES.id) if _is_default(each))
        newest = max(marked, key=lambda each: str(metadata(each)["creationTimestamp"]), default={})
        return name_of(newest)

    def _fitting(self, claim: Object) -> Object | None:
        """Return a volume that does: one that waits for this claim, or else the smallest that is free."""
        fitting = (v for v in self.cluster.store.objects(PERSISTENT_VOLUMES.id) if _fits(v, claim))
        return min(fitting, key=lambda v: (not v["spec"].get("claimRef"), _capacity(v)), default=None)

    def _made(self, claim: Object) -> Object | None:
        spec = claim["spec"]
        if spec.get("volumeName"):
            # It waits for this one.
            return None
        if spec.get("storageClassName"):
            return self._provisioned(claim, spec["storageClassName"])
        self._tell(claim, "FailedBinding", NO_CLASS, "Normal")
        return None

    def _provisioned(self, claim: Object, class_name: str) -> Object | None:
        made_by = self.cluster.store.get(Key(STORAGE_CLASSES.id, "", class_name))
        if made_by is None:
            text = f'storageclass.storage.k8s.io "{class_name}" not found'
            self._tell(claim, "ProvisioningFailed", text, "Warning")
            return None
        if made_by["provisioner"] != PROVISIONER:
            text = f"Waiting for a volume to be created by the external provisioner '{made_by['provisioner']}'"
            self._tell(claim, "ExternalProvisioning", text, "Normal")
            return None
        name = f"pvc-{uid_of(claim)}"
        spec = {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": made_by["reclaimPolicy"],
            "storageClassName": class_name,
            "volumeMode": claim["spec"]["volumeMode"],
            "csi": {"driver": PROVISIONER, "volumeHandle": name},
        }
        annotations = {"pv.kubernetes.io/provisioned-by": PROVISIONER}
        body = {"metadata": {"name": name, "annotations": annotations}, "spec": spec}
        volume = create(self.cluster, PERSISTENT_VOLUMES, "", body)
        self._tell(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}", "Normal")
        return volume

    def _tie(self, claim: Object, volume: Object) -> None:
        reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": namespace_of(claim)}
        reference |= {"name": name_of(claim), "uid": uid_of(claim)}

        def claimed(new: Object) -> None:
            new["spec"]["claimRef"] = reference

        def bound(new: Object) -> None:
            new["spec"]["volumeName"] = name_of(volume)

        modify(self.cluster, PERSISTENT_VOLUMES, "", name_of(volume), claimed)
        self._set_phase(PERSISTENT_VOLUMES, "", name_of(volume), {"phase": "Bound"})
        place = (namespace_of(claim), name_of(claim))
        modify(self.cluster, PERSISTENT_VOLUME_CLAIMS, *place, bound)
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"]["accessModes"],
            "capacity": volume["spec"]["capacity"],
        }
        self._set_phase(PERSISTENT_VOLUME_CLAIMS, *place, status)

    def _set_phase(self, resource: Resource, namespace: str, name: str, status: Object) -> None:
        def write(new: Object) -> None:
            new["status"] = status

        modify(self.cluster, resource, namespace, name, write, part="status")

    def _volume(self, volume: Object) -> None:
        if self._is_claimed(volume):
            # One that an older server has left without it.
            self._protect(volume)
        elif is_deleting(volume):
            self._unprotect(PERSISTENT_VOLUMES, volume, VOLUME_PROTECTION)
        elif not dig(volume, "spec", "claimRef", "uid"):
            # Nobody's, or kept for a claim that is named without its uid.
            if dig(volume, "status", "phase") != "Available":
                self._set_phase(PERSISTENT_VOLUMES, "", name_of(volume), {"phase": "Available"})
                self._bind_waiting()
        elif volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            delete(self.cluster, PERSISTENT_VOLUMES, "", name_of(volume))
        elif dig(volume, "status", "phase") != "Released":
            self._set_phase(PERSISTENT_VOLUMES, "", name_of(volume), {"phase": "Released"})

    def _is_claimed(self, volume: Object) -> bool:
        """Tell whether the claim that a volume is bound to is there."""
        uid = dig(volume, "spec", "claimRef", "uid")
        return bool(uid) and self.cluster.store.key_of_uid(str(uid)) is not None

    def _protect(self, volume: Object) -> None:
        # Nothing new may hold what is being deleted.
        if not is_deleting(volume) and VOLUME_PROTECTION not in (metadata(volume).get("finalizers") or []):
            modify(self.cluster, PERSISTENT_VOLUMES, "", name_of(volume), lambda new: protect(new, VOLUME_PROTECTION))

    def _bind_waiting(self) -> None:
        """Look again at the claims that may have waited for a new volume."""
        for claim in self.cluster.store.objects(PERSISTENT_VOLUME_CLAIMS.id):
            if dig(claim, "status", "phase") == "Pending" and not is_deleting(claim):
                self._bind(claim)

    def _tell(self, claim: Object, reason: str, message: str, kind: str) -> None:
        record(self.cluster, claim, reason=reason, message=message, source=SOURCE, kind=kind)


def _is_default(made: Object) -> bool:
    marks = metadata(made).get("annotations") or {}
    return any(marks.get(f"storageclass.{each}kubernetes.io/is-default-class") == "true" for each in ("", "beta."))


def _capacity(volume: Object) -> float:
    return quantity(volume["spec"]["capacity"]["storage"]) or 0.0


def _fits(volume: Object, claim: Object) -> bool:
    spec, wanted = volume["spec"], claim["spec"]
    if dig(volume, "status", "phase") != "Available" or is_deleting(volume) or not _is_open_to(volume, claim):
        return False
    if wanted.get("volumeName") not in (None, "", name_of(volume)):
        return False
    return (
        spec.get("storageClassName", "") == wanted.get("storageClassName", "")
        and set(wanted["accessModes"]) <= set(spec["accessModes"])
        and _capacity(volume) >= (quantity(dig(wanted, "resources", "requests", "storage")) or 0.0)
    )


def _is_open_to(volume: Object, claim: Object) -> bool:
    """Tell whether a volume is kept for nobody, or for this claim.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume
    """
    kept_for = volume["spec"].get("claimRef")
    place = (namespace_of(claim), name_of(claim))
    return not kept_for or (kept_for.get("namespace", ""), kept_for.get("name", "")) == place
