"""The subresources of pods that are verbs: binding and eviction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from emulator.kube.cluster import Cluster
from emulator.kube.deletion import DeleteOptions, delete, delete_options
from emulator.kube.errors import bad_request, conflict, disruption_refused
from emulator.kube.kinds import DISRUPTION_BUDGETS, PODS
from emulator.kube.objects import (
    Object,
    dig,
    has_condition,
    is_deleting,
    is_finished,
    labels_of,
    name_of,
    namespace_of,
    timestamp,
)
from emulator.kube.options import WriteOptions
from emulator.kube.selectors import selects
from emulator.kube.writes import DEFAULTS, modify


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource as messages name it."""

    plural: str
    kind: str
    group: str = ""


BINDING = Part("pods/binding", "Binding")
SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def bind(cluster: Cluster, namespace: str, name: str, node: str, options: WriteOptions = DEFAULTS) -> Object:
    """Put a pod on a node, once."""
    pod = cluster.existing(PODS, namespace, name)
    if is_deleting(pod):
        raise conflict(BINDING, name, f"pod {name} is being deleted, cannot be assigned to a host")
    if current := dig(pod, "spec", "nodeName"):
        raise conflict(BINDING, name, f'pod {name} is already assigned to node "{current}"')
    if dig(pod, "spec", "schedulingGates"):
        raise conflict(BINDING, name, f"pod {name} has non-empty .spec.schedulingGates")
    now = timestamp(cluster.now())

    def assign(new: Object) -> None:
        new["spec"]["nodeName"] = node
        others = [c for c in dig(new, "status", "conditions") or [] if c.get("type") != "PodScheduled"]
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
        new["status"]["conditions"] = [*others, scheduled]

    return modify(cluster, PODS, namespace, name, assign, options, part="binding")


def bind_request(cluster: Cluster, namespace: str, name: str, body: Any, *, dry_run: bool = False) -> Object:
    """Answer a POST to `pods/NAME/binding`."""
    node = dig(body, "target", "name")
    if not isinstance(node, str) or not node:
        raise bad_request("Binding: target.name is needed")
    bind(cluster, namespace, name, node, WriteOptions(dry_run=dry_run))
    return SUCCESS | {"code": 201}


def evict_request(cluster: Cluster, namespace: str, name: str, body: Any, *, dry_run: bool = False) -> Object:
    """Answer a POST to `pods/NAME/eviction`: a deletion that budgets may refuse."""
    given = dig(body, "metadata", "name")
    if given not in (None, "", name):
        raise bad_request("name in URL does not match name in Eviction object")
    _ask_budgets(cluster, cluster.existing(PODS, namespace, name))
    given = dig(body, "deleteOptions")
    options = delete_options(given, {}) if given else DeleteOptions()
    delete(cluster, PODS, namespace, name, replace(options, dry_run=dry_run or options.dry_run))
    return SUCCESS | {"code": 201}


def _ask_budgets(cluster: Cluster, pod: Object) -> None:
    """Raise the 429 when a budget of this pod leaves no room for one less."""
    if is_finished(pod) or is_deleting(pod) or dig(pod, "status", "phase") == "Pending":
        return
    pods = cluster.store.objects(PODS.id, namespace_of(pod))
    for budget in cluster.store.objects(DISRUPTION_BUDGETS.id, namespace_of(pod)):
        if not _covers(budget, pod):
            continue
        group = [each for each in pods if _covers(budget, each) and not is_finished(each)]
        healthy = sum(has_condition(each, "Ready") and not is_deleting(each) for each in group)
        wanted = _wanted(budget["spec"], len(group))
        if not (healthy > wanted or (not has_condition(pod, "Ready") and _lets_unhealthy_go(budget, healthy, wanted))):
            raise disruption_refused(name_of(budget), healthy, wanted)


def _covers(budget: Object, pod: Object) -> bool:
    """Tell whether a budget is about a pod: an empty selector means all pods, none at all means none."""
    selector = dig(budget, "spec", "selector")
    return selector == {} or selects(selector or {}, labels_of(pod))


def _lets_unhealthy_go(budget: Object, healthy: int, wanted: int) -> bool:
    # https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
    return dig(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow" or healthy >= wanted > 0


def _wanted(spec: Object, expected: int) -> int:
    if "minAvailable" in spec:
        return _count(spec["minAvailable"], expected)
    return expected - _count(spec.get("maxUnavailable", expected), expected)


def _count(value: Any, expected: int) -> int:
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdecimal():
        return math.ceil(min(int(value[-10:-1]), 100) * expected / 100)
    return int(value) if isinstance(value, int) else 0
