"""What the cluster refuses though the object itself is right."""

from __future__ import annotations

from emulator.kube.cluster import Cluster
from emulator.kube.errors import Cause, forbidden
from emulator.kube.kinds import NAMESPACES, PODS, SERVICE_ACCOUNTS
from emulator.kube.objects import Object, is_deleting, metadata
from emulator.kube.resource import Resource
from emulator.kube.store import Key


def admit(cluster: Cluster, resource: Resource, obj: Object) -> None:
    """Raise when an object may not be created now: no such namespace, one being deleted, no such service account."""
    if not resource.namespaced:
        return
    namespace = str(metadata(obj)["namespace"])
    name = metadata(obj).get("name") or metadata(obj).get("generateName", "")
    if is_deleting(cluster.existing(NAMESPACES, "", namespace)):
        text = f"namespace {namespace} is being terminated"
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise forbidden(resource, name, why, [Cause("metadata.namespace", "NamespaceTerminating", text)])
    if resource is PODS:
        _admit_service_account(cluster, namespace, name, obj)


def _admit_service_account(cluster: Cluster, namespace: str, name: str, pod: Object) -> None:
    account = pod["spec"]["serviceAccountName"]
    if cluster.store.get(Key(SERVICE_ACCOUNTS.id, namespace, account)) is None:
        missing = f'serviceaccount "{account}" not found'
        raise forbidden(PODS, name, f"error looking up service account {namespace}/{account}: {missing}")
