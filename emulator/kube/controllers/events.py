"""Events: what the cluster tells people about an object, and how long it remembers."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from emulator.kube.cluster import Cluster
from emulator.kube.errors import ApiError
from emulator.kube.kinds import EVENTS
from emulator.kube.objects import Object, metadata, micro_timestamp, moment_of, name_of, namespace_of, timestamp, uid_of
from emulator.kube.store import Change, Key
from emulator.kube.writes import create

KEPT = timedelta(hours=1)
SCHEDULER = "default-scheduler"


def event_name(about: str, moment: datetime) -> str:
    """Name an event after its object and the time in nanoseconds, as Kubernetes does: names sort by time."""
    return f"{about[:220]}.{int(moment.timestamp() * 1_000_000) * 1000 + secrets.randbelow(1000):x}"


def record(cluster: Cluster, about: Object, *, reason: str, message: str, source: str, kind: str = "Normal") -> None:
    """Write an event about an object. An event that cannot be written is lost, as events may be."""
    now = cluster.now()
    namespace = namespace_of(about) or "default"
    event: Object = {
        "metadata": {"name": event_name(name_of(about), now), "namespace": namespace},
        "involvedObject": {
            "kind": about["kind"],
            "namespace": namespace_of(about),
            "name": name_of(about),
            "uid": uid_of(about),
            "apiVersion": about["apiVersion"],
            "resourceVersion": metadata(about).get("resourceVersion", ""),
        },
        "reason": reason,
        "message": message,
        "type": kind,
    }
    if source == SCHEDULER:
        # The scheduler writes events of the newer form, without counts.
        event |= {"eventTime": micro_timestamp(now), "reportingComponent": source, "action": "Binding"}
        event |= {"reportingInstance": source}
    else:
        seen = timestamp(now)
        event |= {"source": {"component": source}, "firstTimestamp": seen, "lastTimestamp": seen, "count": 1}
    try:
        create(cluster, EVENTS, namespace, event)
    except ApiError:
        # A namespace that is being deleted takes no more events.
        return


@dataclass(frozen=True, slots=True)
class ForgetEvents:
    """Removes events after an hour, as the API server of Kubernetes does."""

    cluster: Cluster

    def concerns(self, change: Change) -> Iterable[Key]:
        return (change.key,) if change.key.resource == EVENTS.id and change.type == "ADDED" else ()

    def start(self) -> Iterable[Key]:
        return [Key(EVENTS.id, namespace_of(obj), name_of(obj)) for obj in self.cluster.store.objects(EVENTS.id)]

    def reconcile(self, key: Key) -> datetime | None:
        event = self.cluster.store.get(key)
        if event is None:
            return None
        born = moment_of(metadata(event)["creationTimestamp"]) or self.cluster.now()
        if self.cluster.now() < born + KEPT:
            return born + KEPT
        self.cluster.store.delete(key)
        return None
