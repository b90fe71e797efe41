"""What the cluster refuses though the object itself is right."""

from __future__ import annotations

from emulator.kube.cluster import Cluster
from emulator.kube.errors import Cause, forbidden
from emulator.kube.kinds import NAMESPACES, PODS, PRIORITY_CLASSES, SERVICE_ACCOUNTS
from emulator.kube.kinds.priorities import BUILT_IN
from emulator.kube.objects import Object, is_deleting, metadata, name_of
from emulator.kube.resource import Resource
from emulator.kube.store import Key


def admit(cluster: Cluster, resource: Resource, obj: Object, name: str) -> None:
    """Raise when an object may not be created now: no such namespace, one being deleted, no such service account.

    *name* is the one asked for, or its beginning.
    """
    if not resource.namespaced:
        return
    namespace = str(metadata(obj)["namespace"])
    if is_deleting(cluster.existing(NAMESPACES, "", namespace)):
        text = f"namespace {namespace} is being terminated"
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise forbidden(resource, name, why, [Cause("metadata.namespace", "NamespaceTerminating", text)])
    if resource is PODS:
        _admit_service_account(cluster, namespace, name, obj)
        _admit_priority(cluster, name, obj)


def _admit_service_account(cluster: Cluster, namespace: str, name: str, pod: Object) -> None:
    account = pod["spec"]["serviceAccountName"]
    if cluster.store.get(Key(SERVICE_ACCOUNTS.id, namespace, account)) is None:
        missing = f'serviceaccount "{account}" not found'
        raise forbidden(PODS, name, f"error looking up service account {namespace}/{account}: {missing}")


def _admit_priority(cluster: Cluster, name: str, pod: Object) -> None:
    spec = pod["spec"]
    wanted = spec.get("priorityClassName") or _default_priority(cluster)
    if not wanted:
        return
    known = cluster.store.get(Key(PRIORITY_CLASSES.id, "", wanted))
    if known is None and wanted not in BUILT_IN:
        raise forbidden(PODS, name, f"no PriorityClass with name {wanted} was found")
    spec["priorityClassName"] = wanted
    spec["priority"] = known["value"] if known else BUILT_IN[wanted]
    spec["preemptionPolicy"] = (known or {}).get("preemptionPolicy", "PreemptLowerPriority")


def _default_priority(cluster: Cluster) -> str:
    found = (each for each in cluster.store.objects(PRIORITY_CLASSES.id) if each.get("globalDefault"))
    return next(map(name_of, found), "")
