"""The scheduler: puts pending pods on nodes with room for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from emulator.kube.cluster import Cluster
from emulator.kube.controllers.claims import claim_names
from emulator.kube.controllers.events import SCHEDULER, record
from emulator.kube.controllers.scheduling import Load, choose, claim_problem, explain, load_of, with_pod
from emulator.kube.kinds import NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from emulator.kube.objects import Object, condition, dig, is_deleting, is_finished, name_of, namespace_of, timestamp
from emulator.kube.pod_actions import bind
from emulator.kube.store import Change, Key
from emulator.kube.writes import modify

# One key for the whole cluster: a node that comes, or a pod that goes, may make room for any pod.
CLUSTER = Key("", "", "pending pods")


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Binds pods: those of a higher priority first, otherwise first come, first served."""

    cluster: Cluster

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.key.resource == NODES.id:
            return (CLUSTER,) if _node_matters(change) else ()
        if change.key.resource == PERSISTENT_VOLUME_CLAIMS.id:
            return (CLUSTER,)
        if change.key.resource != PODS.id:
            return ()
        makes_room = change.type == "DELETED" or is_finished(change.object)
        return (CLUSTER,) if makes_room or (_is_ours(change.object) and _asks_anew(change)) else ()

    def start(self) -> Iterable[Key]:
        return (CLUSTER,)

    def reconcile(self, key: Key) -> datetime | None:
        pending = sorted(filter(_is_ours, self.cluster.store.objects(PODS.id)), key=_turn)
        loads = self._loads() if pending else {}
        for pod in pending:
            self._schedule(pod, loads)
        return None

    def _schedule(self, pod: Object, loads: dict[str, Load]) -> None:
        listed = list(loads.values())
        missing = claim_problem(pod, self._claims(pod))
        node = None if missing else choose(pod, listed)
        if node is None:
            self._refuse(pod, explain(pod, listed, everywhere=missing))
            return
        bind(self.cluster, namespace_of(pod), name_of(pod), node)
        loads[node] = with_pod(loads[node], pod)
        message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}"
        record(self.cluster, pod, reason="Scheduled", message=message, source=SCHEDULER)

    def _claims(self, pod: Object) -> dict[str, Object | None]:
        place = (PERSISTENT_VOLUME_CLAIMS.id, namespace_of(pod))
        return {name: self.cluster.store.get(Key(*place, name)) for name in claim_names(pod)}

    def _loads(self) -> dict[str, Load]:
        carried: dict[str, list[Object]] = defaultdict(list)
        for pod in self.cluster.store.objects(PODS.id):
            if not is_finished(pod):
                carried[str(dig(pod, "spec", "nodeName"))].append(pod)
        return {name_of(node): load_of(node, carried[name_of(node)]) for node in self.cluster.store.objects(NODES.id)}

    def _refuse(self, pod: Object, message: str) -> None:
        known = condition(pod, "PodScheduled") or {}
        if known.get("message") == message:
            return
        moment = timestamp(self.cluster.now())

        def write(new: Object) -> None:
            others = [c for c in dig(new, "status", "conditions") or [] if c.get("type") != "PodScheduled"]
            refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            new["status"]["conditions"] = [*others, refused | {"lastTransitionTime": moment}]

        modify(self.cluster, PODS, namespace_of(pod), name_of(pod), write, part="status")
        record(self.cluster, pod, reason="FailedScheduling", message=message, source=SCHEDULER, kind="Warning")


def _is_ours(pod: Object) -> bool:
    spec = pod["spec"]
    if spec.get("nodeName") or spec.get("schedulingGates") or is_deleting(pod) or is_finished(pod):
        return False
    # zero-to-jupyterhub brings a scheduler of its own, named after the release; here this one does its work.
    name = str(spec.get("schedulerName"))
    return name == SCHEDULER or name.endswith("user-scheduler")


def _asks_anew(change: Change) -> bool:
    """Tell whether a pod is new, or wants something else than before: a gate is gone, it tolerates more."""
    return change.previous is None or change.previous["spec"] != change.object["spec"]


def _turn(pod: Object) -> tuple[int, str, int]:
    meta = pod["metadata"]
    return -int(pod["spec"].get("priority") or 0), str(meta["creationTimestamp"]), int(meta["resourceVersion"])


def _node_matters(change: Change) -> bool:
    """Tell whether more changed of a node than its heartbeat."""
    return change.previous is None or change.type == "DELETED" or _traits(change.previous) != _traits(change.object)


def _traits(node: Object) -> tuple[object, ...]:
    ready = (condition(node, "Ready") or {}).get("status")
    return node["metadata"].get("labels"), node.get("spec"), dig(node, "status", "allocatable"), ready
