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
from emulator.kube.resource import Resource
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
        before = owners(change.previous) if change.previous else []
        # Owners that wait for their dependents may wait for this one, or not any more.
        left = before if gone or before != owned else []
        waiting = (self._cluster.store.key_of_uid(str(owner.get("uid"))) for owner in left)
        found = [key for key in waiting if key]
        if gone:
            # Its dependents may have lost their last owner.
            return found + list(self._dependents.get(uid_of(change.object), ()))
        return [change.key, *found] if owned or is_deleting(change.object) else found

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
        elif not is_deleting(obj):
            self._follow_owners(key, obj)
        return None

    def _follow_owners(self, key: Key, obj: Object) -> None:
        """Delete what has no owner left that stays; of what has one, drop the references to the others.

        https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion
        """
        references = owners(obj)
        staying = [owner for owner in references if not self._is_lost(owner) and not self._waits(owner)]
        if staying and staying != references:
            self._keep_owners(key, staying)
        elif references and not staying:
            # Somebody waits: then for the dependents of this one, too.
            nested = any(map(self._waits, references)) and self._dependents.get(uid_of(obj))
            delete(self._cluster, *_place(key), DeleteOptions(propagation="Foreground" if nested else "Background"))

    def _keep_owners(self, key: Key, kept: list[Object]) -> None:
        modify(self._cluster, *_place(key), lambda obj: _set_or_drop(obj["metadata"], "ownerReferences", kept))

    def _is_lost(self, owner: Object) -> bool:
        # An owner of a kind that is not served here is somebody else's to judge.
        known = (owner.get("apiVersion"), owner.get("kind")) in BY_KIND
        return known and self._cluster.store.key_of_uid(str(owner.get("uid"))) is None

    def _waits(self, owner: Object) -> bool:
        """Tell whether an owner is being deleted, and waits for its dependents."""
        key = self._cluster.store.key_of_uid(str(owner.get("uid")))
        found = self._cluster.store.get(key) if key else None
        return found is not None and is_deleting(found) and FOREGROUND in (metadata(found).get("finalizers") or [])

    def _let_dependents_go(self, owner: Object) -> None:
        for key in list(self._dependents.get(uid_of(owner), ())):
            dependent = self._cluster.store.get(key)
            if dependent is not None:
                self._keep_owners(key, [each for each in owners(dependent) if each.get("uid") != uid_of(owner)])

    def _delete_dependents(self, owner: Object) -> None:
        for key in list(self._dependents.get(uid_of(owner), ())):
            dependent = self._cluster.store.get(key)
            if dependent is not None and not is_deleting(dependent):
                self._follow_owners(key, dependent)

    def _blocks(self, key: Key, owner_uid: str) -> bool:
        dependent = self._cluster.store.get(key)
        return dependent is not None and any(
            reference.get("uid") == owner_uid and reference.get("blockOwnerDeletion") for reference in owners(dependent)
        )

    def _release(self, key: Key, finalizer: str) -> None:
        def drop(obj: Object) -> None:
            kept = [name for name in metadata(obj).get("finalizers") or [] if name != finalizer]
            _set_or_drop(obj["metadata"], "finalizers", kept)

        modify(self._cluster, *_place(key), drop)


def _place(key: Key) -> tuple[Resource, str, str]:
    return BY_ID[key.resource], key.namespace, key.name


def _set_or_drop(meta: Object, field: str, values: list[Any]) -> None:
    meta.pop(field, None)
    if values:
        meta[field] = values
