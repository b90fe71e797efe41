"""Nodes: one whose kubelet has gone silent is not ready, and the pods of one that is gone go too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from emulator.kube.cluster import Cluster
from emulator.kube.deletion import DeleteOptions, delete
from emulator.kube.kinds import LEASES, NODES, PODS
from emulator.kube.objects import (
    Object,
    condition,
    dig,
    is_deleting,
    metadata,
    moment_of,
    name_of,
    namespace_of,
    timestamp,
)
from emulator.kube.store import Change, Key
from emulator.kube.writes import modify

GRACE = timedelta(seconds=40)
LEASE_NAMESPACE = "kube-node-lease"


@dataclass(frozen=True, slots=True)
class Nodes:
    """Watches the heartbeats of kubelets: the time in a node's Ready condition, or a lease of its name."""

    cluster: Cluster

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.key.resource == NODES.id:
            return (change.key,)
        # A pod that waits for its kubelet to end it, on a node that no longer is.
        node = dig(change.object, "spec", "nodeName") if change.key.resource == PODS.id else None
        return (Key(NODES.id, "", str(node)),) if node and is_deleting(change.object) else ()

    def start(self) -> Iterable[Key]:
        known = [name_of(node) for node in self.cluster.store.objects(NODES.id)]
        named = [str(dig(pod, "spec", "nodeName") or "") for pod in self.cluster.store.objects(PODS.id)]
        return [Key(NODES.id, "", name) for name in {*known, *named} if name]

    def reconcile(self, key: Key) -> datetime | None:
        node = self.cluster.store.get(key)
        if node is None:
            self._remove_pods(key.name)
            return None
        ready = condition(node, "Ready")
        if ready is None or ready.get("status") != "True":
            return None
        silent_at = self._last_heartbeat(node, ready) + GRACE
        if self.cluster.now() < silent_at:
            return silent_at
        self._mark_silent(key.name)
        return None

    def _last_heartbeat(self, node: Object, ready: Object) -> datetime:
        lease = self.cluster.store.get(Key(LEASES.id, LEASE_NAMESPACE, name_of(node)))
        times = (
            moment_of(ready.get("lastHeartbeatTime")),
            moment_of(dig(lease, "spec", "renewTime")),
            moment_of(metadata(node)["creationTimestamp"]),
        )
        return max(time for time in times if time)

    def _mark_silent(self, name: str) -> None:
        moment = timestamp(self.cluster.now())

        def write(node: Object) -> None:
            ready = condition(node, "Ready")
            if ready is not None:
                ready |= {"status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": moment}
                ready["message"] = "Kubelet stopped posting node status."

        modify(self.cluster, NODES, "", name, write, part="status")

    def _remove_pods(self, node: str) -> None:
        for pod in self.cluster.store.objects(PODS.id):
            if dig(pod, "spec", "nodeName") == node:
                options = DeleteOptions(grace_period_s=0, propagation="Background")
                delete(self.cluster, PODS, namespace_of(pod), name_of(pod), options)
