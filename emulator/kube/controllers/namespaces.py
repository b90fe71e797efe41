"""Namespaces: what every new one holds, and how one goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from emulator.kube.cluster import Cluster
from emulator.kube.deletion import DeleteOptions, delete
from emulator.kube.kinds import CONFIG_MAPS, NAMESPACES, RESOURCES, SERVICE_ACCOUNTS
from emulator.kube.objects import Object, clone, dig, is_deleting, metadata, name_of, timestamp
from emulator.kube.resource import Resource
from emulator.kube.store import Change, Key
from emulator.kube.writes import create, modify

NAMED = ("default", "kube-node-lease", "kube-public", "kube-system")
NAMESPACED = [resource for resource in RESOURCES if resource.namespaced]


def create_first_namespaces(cluster: Cluster) -> None:
    """Make sure of the namespaces that every cluster has."""
    for name in NAMED:
        if cluster.store.get(Key(NAMESPACES.id, "", name)) is None:
            create(cluster, NAMESPACES, "", {"metadata": {"name": name}})


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Fills new namespaces and empties those that are being deleted."""

    cluster: Cluster

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.key.resource == NAMESPACES.id:
            return (change.key,)
        # What every namespace has comes back; and the last thing to go lets the namespace go.
        return (
            (Key(NAMESPACES.id, "", change.key.namespace),) if change.key.namespace and change.type == "DELETED" else ()
        )

    def start(self) -> Iterable[Key]:
        return [Key(NAMESPACES.id, "", name_of(obj)) for obj in self.cluster.store.objects(NAMESPACES.id)]

    def reconcile(self, key: Key) -> datetime | None:
        namespace = self.cluster.store.get(key)
        if namespace is None:
            return None
        if is_deleting(namespace):
            self._empty(key, namespace)
        else:
            self._fill(key.name)
        return None

    def _fill(self, name: str) -> None:
        if self.cluster.store.get(Key(SERVICE_ACCOUNTS.id, name, "default")) is None:
            create(self.cluster, SERVICE_ACCOUNTS, name, {"metadata": {"name": "default"}})
        if self.cluster.store.get(Key(CONFIG_MAPS.id, name, "kube-root-ca.crt")) is None:
            body = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}}
            create(self.cluster, CONFIG_MAPS, name, body)

    def _empty(self, key: Key, namespace: Object) -> None:
        left = self._content(key.name)
        for resource, obj in left:
            if not is_deleting(obj):
                delete(self.cluster, resource, key.name, name_of(obj), DeleteOptions(propagation="Background"))
        left = self._content(key.name)
        if left or metadata(namespace).get("finalizers"):
            self._tell(key, namespace, left)
        if not left:
            self._finalize(key)

    def _finalize(self, key: Key) -> None:
        """Let an empty namespace go; what others hold by finalizers of its metadata stays until they let go.

        https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace
        """

        def drop(new: Object) -> None:
            kept = [name for name in dig(new, "spec", "finalizers") or [] if name != "kubernetes"]
            new["spec"] = {"finalizers": kept} if kept else {}

        modify(self.cluster, NAMESPACES, "", key.name, drop, part="finalize")

    def _content(self, name: str) -> list[tuple[Resource, Object]]:
        return [(resource, obj) for resource in NAMESPACED for obj in self.cluster.store.objects(resource.id, name)]

    def _tell(self, key: Key, namespace: Object, left: list[tuple[Resource, Object]]) -> None:
        """Say in conditions what the namespace waits for."""
        conditions = _conditions(left, timestamp(self.cluster.now()))
        shown = [(c["type"], c["status"], c["message"]) for c in conditions]
        known = [(c["type"], c["status"], c["message"]) for c in namespace["status"].get("conditions", [])]
        if shown != known:
            new = clone(namespace)
            new["status"]["conditions"] = conditions
            self.cluster.store.put(key, new)


def _conditions(left: list[tuple[Resource, Object]], now: str) -> list[Object]:
    objects = Counter(f"{resource.plural}.{resource.group}" for resource, _obj in left)
    held = Counter(name for _resource, obj in left for name in metadata(obj).get("finalizers") or [])
    remaining = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(objects.items()))
    finalizers = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(held.items()))
    content = ("ContentRemoved", "All content successfully removed")
    if left:
        content = ("SomeResourcesRemain", f"Some resources are remaining: {remaining}")
    finalization = ("ContentHasNoFinalizers", "All content-preserving finalizers finished")
    if held:
        finalization = (
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {finalizers}",
        )
    deleted = "All content successfully deleted, may be waiting on finalization"
    told = (
        ("NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            False,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        ("NamespaceDeletionContentFailure", False, "ContentDeleted", deleted),
        ("NamespaceContentRemaining", bool(left), *content),
        ("NamespaceFinalizersRemaining", bool(held), *finalization),
    )
    return [
        {"type": kind, "status": str(true), "lastTransitionTime": now, "reason": reason, "message": message}
        for kind, true, reason, message in told
    ]
