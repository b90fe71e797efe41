"""The cluster as data: objects, versions and a log of changes. No HTTP, no clock, no disk.

An object in the store is never changed in place: readers may keep it, writers put a new one. So one version of an
object is shared by the list, the watches and the log.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from emulator.kube.objects import Object, metadata, uid_of

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


class Key(NamedTuple):
    """Where an object is: `resource` is `pods` or `jobs.batch`; `namespace` is empty for what has none."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the cluster. `object` is the new state (of a deleted one the last), `previous` the one before."""

    type: ChangeType
    key: Key
    version: int
    object: Object
    previous: Object | None


class Forgotten(Exception):
    """The log does not reach back to the version asked for."""


class Store:
    """All objects of a cluster, with one growing version over all of them.

    Versions are times in microseconds, so that they never go backwards, even when a server starts with less than
    it had.
    """

    def __init__(self, *, clock_us: Callable[[], int], log_length: int = 1000) -> None:
        self._clock_us = clock_us
        self._objects: dict[str, dict[tuple[str, str], Object]] = defaultdict(dict)
        # Sorted when somebody asks, until something comes or goes.
        self._sorted: dict[str, list[tuple[str, str]]] = {}
        self._keys_by_uid: dict[str, Key] = {}
        self._log_length = log_length
        self._logs: dict[str, deque[Change]] = defaultdict(deque)
        self._listeners: list[Callable[[Change], None]] = []
        self.version = clock_us()
        self._begun = self.version
        self._forgotten: dict[str, int] = {}

    def restore(self, objects: Iterable[tuple[Key, Object]], *, newest: int = 0) -> None:
        """Put back the objects of an earlier life, whose newest version is known. To be called before anything else."""
        self.version = max(self.version, newest + 1)
        for key, obj in objects:
            self._objects[key.resource][key.namespace, key.name] = obj
            self._keys_by_uid[uid_of(obj)] = key
            self.version = max(self.version, int(metadata(obj).get("resourceVersion", 0)) + 1)
        self._begun = self.version

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call *listener* with every change from now on, at once and in order."""
        self._listeners.append(listener)

    def get(self, key: Key) -> Object | None:
        """Return the object, which is not to be changed."""
        return self._objects[key.resource].get((key.namespace, key.name))

    def key_of_uid(self, uid: str) -> Key | None:
        """Return where the object with this uid is."""
        return self._keys_by_uid.get(uid)

    def objects(self, resource: str, namespace: str = "") -> list[Object]:
        """Return all objects of a resource, in a namespace or in all, ordered by namespace and name."""
        found, places = self._objects[resource], self._places(resource)
        if namespace:
            places = places[bisect_left(places, (namespace, "")) : bisect_left(places, (namespace + "\0", ""))]
        return [found[place] for place in places]

    def _places(self, resource: str) -> list[tuple[str, str]]:
        places = self._sorted.get(resource)
        if places is None:
            places = self._sorted[resource] = sorted(self._objects[resource])
        return places

    def objects_at(self, resource: str, version: int, namespace: str = "") -> list[Object]:
        """Return what `objects` returned at *version*; raise Forgotten where the log does not reach back so far."""
        then = dict(self._objects[resource])
        for change in reversed(self.changes(resource, since=version)):
            place = (change.key.namespace, change.key.name)
            if change.previous is None:
                del then[place]
            else:
                then[place] = change.previous
        return [then[place] for place in sorted(then) if not namespace or place[0] == namespace]

    def put(self, key: Key, obj: Object) -> Object:
        """Store an object under a new version and return it. *obj* belongs to the store from now on."""
        previous = self.get(key)
        version = self._next_version()
        obj["metadata"]["resourceVersion"] = str(version)
        self._objects[key.resource][key.namespace, key.name] = obj
        if previous is None:
            self._sorted.pop(key.resource, None)
        self._keys_by_uid[uid_of(obj)] = key
        self._record(Change("MODIFIED" if previous else "ADDED", key, version, obj, previous))
        return obj

    def delete(self, key: Key) -> Object:
        """Remove an object and return its last state, under the version of its removal."""
        previous = self._objects[key.resource].pop((key.namespace, key.name))
        self._sorted.pop(key.resource, None)
        self._keys_by_uid.pop(uid_of(previous), None)
        version = self._next_version()
        last = previous | {"metadata": metadata(previous) | {"resourceVersion": str(version)}}
        self._record(Change("DELETED", key, version, last, previous))
        return last

    def changes(self, resource: str, *, since: int) -> list[Change]:
        """Return the changes of a resource after a version; raise Forgotten where some of them are lost."""
        if since < self._forgotten.get(resource, self._begun):
            raise Forgotten
        found: list[Change] = []
        for change in reversed(self._logs[resource]):
            if change.version <= since:
                break
            found.append(change)
        return found[::-1]

    def forget(self) -> None:
        """Forget all changes so far, as a compaction does."""
        for resource, log in self._logs.items():
            if log:
                self._forgotten[resource] = log[-1].version
            log.clear()

    def _next_version(self) -> int:
        self.version = max(self.version + 1, self._clock_us())
        return self.version

    def _record(self, change: Change) -> None:
        log = self._logs[change.key.resource]
        log.append(change)
        if len(log) > self._log_length:
            self._forgotten[change.key.resource] = log.popleft().version
        for listener in self._listeners:
            listener(change)
