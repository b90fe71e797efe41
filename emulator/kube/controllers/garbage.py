"""Garbage collection: dependents follow their owners, as the deletion of the owner asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from emulator.kube.cluster import Cluster
from emulator.kube.deletion import DeleteOptions, delete
from emulator.kube.kinds import BY_ID, BY_KIND, RESOURCES
from emulator.kube.objects import Object, is_deleting, metadata, name_of, namespace_of, owners, uid_of
from emulator.kube.store import Change, Key
from emulator.kube.writes import modify

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


class Garbage:
    """Deletes what has lost its last owner, and lets owners go that wait for their dependents."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._dependents: dict[str, set[Key]] = defaultdict(set)

    def start(self) -> Iterable[Key]:
        found = []
        for resource in RESOURCES:
            for obj in self._cluster.store.objects(resource.id):
                key = Key(resource.id, namespace_of(obj), name_of(obj))
                self._index(key, None, obj)
                found.append(key)
        return found

    def concerns(self, change: Change) -> Iterable[Key]:
        gone = change.type == "DELETED"
        self._index(change.key, change.previous, None if gone else change.object)
        owned = owners(change.object)
        if gone:
            # Its owners may have waited for it; its dependents may have lost their last owner.
            waiting = (self._cluster.store.key_of_uid(str(owner.get("uid"))) for owner in owned)
            return [key for key in waiting if key] + list(self._dependents.get(uid_of(change.object), ()))
        return (change.key,) if owned or is_deleting(change.object) else ()

    def _index(self, key: Key, old: Object | None, new: Object | None) -> None:
        before = {str(owner.get("uid")) for owner in owners(old)} if old else set()
        after = {str(owner.get("uid")) for owner in owners(new)} if new else set()
        for uid in before - after:
            self._dependents[uid].discard(key)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in after - before:
            self._dependents[uid].add(key)

    def reconcile(self, key: Key) -> datetime | None:
        obj = self._cluster.store.get(key)
        if obj is None:
            return None
        finalizers = metadata(obj).get("finalizers") or []
        if is_deleting(obj) and ORPHAN in finalizers:
            self._let_dependents_go(obj)
            self._release(key, ORPHAN)
        elif is_deleting(obj) and FOREGROUND in finalizers:
            self._delete_dependents(obj)
            if not any(self._blocks(dependent, uid_of(obj)) for dependent in self._dependents.get(uid_of(obj), ())):
                self._release(key, FOREGROUND)
        elif not is_deleting(obj) and owners(obj) and all(map(self._is_lost, owners(obj))):
            self._delete(key, "Background")
        return None

    def _is_lost(self, owner: Object) -> bool:
        # An owner of a kind that is not served here is somebody else's to judge.
        known = (owner.get("apiVersion"), owner.get("kind")) in BY_KIND
        return known and self._cluster.store.key_of_uid(str(owner.get("uid"))) is None

    def _let_dependents_go(self, owner: Object) -> None:
        for key in list(self._dependents.get(uid_of(owner), ())):

            def forget(obj: Object) -> None:
                kept = [reference for reference in owners(obj) if reference.get("uid") != uid_of(owner)]
                _set_or_drop(obj["metadata"], "ownerReferences", kept)

            modify(self._cluster, BY_ID[key.resource], key.namespace, key.name, forget)

    def _delete_dependents(self, owner: Object) -> None:
        for key in list(self._dependents.get(uid_of(owner), ())):
            dependent = self._cluster.store.get(key)
            if dependent is None or is_deleting(dependent):
                continue
            others = [reference for reference in owners(dependent) if reference.get("uid") != uid_of(owner)]
            if all(map(self._is_lost, others)):
                self._delete(key, "Foreground" if self._dependents.get(uid_of(dependent)) else "Background")

    def _blocks(self, key: Key, owner_uid: str) -> bool:
        dependent = self._cluster.store.get(key)
        return dependent is not None and any(
            reference.get("uid") == owner_uid and reference.get("blockOwnerDeletion") for reference in owners(dependent)
        )

    def _delete(self, key: Key, propagation: str) -> None:
        options = DeleteOptions(propagation=propagation)
        delete(self._cluster, BY_ID[key.resource], key.namespace, key.name, options)

    def _release(self, key: Key, finalizer: str) -> None:
        def drop(obj: Object) -> None:
            kept = [name for name in metadata(obj).get("finalizers") or [] if name != finalizer]
            _set_or_drop(obj["metadata"], "finalizers", kept)

        modify(self._cluster, BY_ID[key.resource], key.namespace, key.name, drop)


def _set_or_drop(meta: Object, field: str, values: list[Any]) -> None:
    meta.pop(field, None)
    if values:
        meta[field] = values
