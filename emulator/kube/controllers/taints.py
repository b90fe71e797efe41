"""Taints of the effect NoExecute: pods that do not tolerate them, or not for ever, leave their node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from emulator.kube.cluster import Cluster
from emulator.kube.controllers.events import record
from emulator.kube.controllers.scheduling import tolerates
from emulator.kube.deletion import delete
from emulator.kube.kinds import NODES, PODS
from emulator.kube.objects import Object, dig, is_deleting, is_finished, later, name_of, namespace_of, timestamp, uid_of
from emulator.kube.store import Change, Key
from emulator.kube.writes import modify

SOURCE = "taint-eviction-controller"


@dataclass(frozen=True, slots=True)
class Taints:
    """Deletes pods from nodes with a taint that they do not tolerate, when the time that they tolerate it is over.

    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
    """

    cluster: Cluster
    # When a pod was first seen beside such taints, by its uid. A restart starts anew, as it does in Kubernetes.
    _since: dict[str, datetime] = field(default_factory=dict)

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.key.resource == NODES.id:
            changed = change.previous is None or _taints(change.previous) != _taints(change.object)
            return self._pods_on(change.key.name) if changed and change.type != "DELETED" else ()
        if change.key.resource != PODS.id:
            return ()
        if change.type == "DELETED":
            self._since.pop(uid_of(change.object), None)
            return ()
        return (change.key,) if change.previous is None or change.previous["spec"] != change.object["spec"] else ()

    def start(self) -> Iterable[Key]:
        return self._pods_on(None)

    def _pods_on(self, node: str | None) -> list[Key]:
        return [
            Key(PODS.id, namespace_of(pod), name_of(pod))
            for pod in self.cluster.store.objects(PODS.id)
            if node in (None, dig(pod, "spec", "nodeName"))
        ]

    def reconcile(self, key: Key) -> datetime | None:
        pod = self.cluster.store.get(key)
        if pod is None or is_deleting(pod) or is_finished(pod):
            return None
        node = self.cluster.store.get(Key(NODES.id, "", str(dig(pod, "spec", "nodeName"))))
        seconds = tolerated_s(pod, _taints(node) if node else [])
        if seconds is None:
            self._since.pop(uid_of(pod), None)
            return None
        now = self.cluster.now()
        leaves_at = later(self._since.setdefault(uid_of(pod), now), max(0, seconds))
        if now < leaves_at:
            return leaves_at
        self._evict(key, pod)
        return None

    def _evict(self, key: Key, pod: Object) -> None:
        disrupted: Object = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
        disrupted |= {"message": "Taint manager: deleting due to NoExecute taint", "lastProbeTime": None}
        disrupted |= {"lastTransitionTime": timestamp(self.cluster.now())}

        def write(new: Object) -> None:
            others = [each for each in dig(new, "status", "conditions") or [] if each["type"] != disrupted["type"]]
            new["status"]["conditions"] = [*others, disrupted]

        message = f"Marking for deletion Pod {key.namespace}/{key.name}"
        record(self.cluster, pod, reason="TaintManagerEviction", message=message, source=SOURCE)
        modify(self.cluster, PODS, key.namespace, key.name, write, part="status")
        delete(self.cluster, PODS, key.namespace, key.name)


def _taints(node: Object) -> list[Object]:
    return [taint for taint in dig(node, "spec", "taints") or [] if taint.get("effect") == "NoExecute"]


def tolerated_s(pod: Object, taints: list[Object]) -> int | None:
    """Return for how long a pod stays beside these taints; None stands for ever."""
    tolerations = dig(pod, "spec", "tolerations") or []
    seconds = []
    for taint in taints:
        first = next((each for each in tolerations if tolerates(each, taint)), {"tolerationSeconds": 0})
        if first.get("tolerationSeconds") is not None:
            seconds.append(int(first["tolerationSeconds"]))
    return min(seconds, default=None)
