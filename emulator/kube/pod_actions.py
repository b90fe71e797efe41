"""The subresources of pods that are verbs: binding and eviction."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
from emulator.kube.selectors import selects
from emulator.kube.writes import modify


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource as messages name it."""

    plural: str
    kind: str
    group: str = ""


BINDING = Part("pods/binding", "Binding")
SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def bind(cluster: Cluster, namespace: str, name: str, node: str) -> Object:
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

    return modify(cluster, PODS, namespace, name, assign, part="binding")


def bind_request(cluster: Cluster, namespace: str, name: str, body: Any) -> Object:
    """Answer a POST to `pods/NAME/binding`."""
    node = dig(body, "target", "name")
    if not isinstance(node, str) or not node:
        raise bad_request("Binding: target.name is needed")
    bind(cluster, namespace, name, node)
    return SUCCESS | {"code": 201}


def evict_request(cluster: Cluster, namespace: str, name: str, body: Any) -> Object:
    """Answer a POST to `pods/NAME/eviction`: a deletion that budgets may refuse."""
    given = dig(body, "metadata", "name")
    if given not in (None, "", name):
        raise bad_request("name in URL does not match name in Eviction object")
    _ask_budgets(cluster, cluster.existing(PODS, namespace, name))
    options = dig(body, "deleteOptions")
    delete(cluster, PODS, namespace, name, delete_options(options, {}) if options else DeleteOptions())
    return SUCCESS | {"code": 201}


def _ask_budgets(cluster: Cluster, pod: Object) -> None:
    """Raise the 429 when a budget of this pod leaves no room for one less."""
    if is_finished(pod) or is_deleting(pod) or not has_condition(pod, "Ready"):
        return
    pods = cluster.store.objects(PODS.id, namespace_of(pod))
    for budget in cluster.store.objects(DISRUPTION_BUDGETS.id, namespace_of(pod)):
        selector = dig(budget, "spec", "selector") or {}
        if not selects(selector, labels_of(pod)):
            continue
        group = [each for each in pods if selects(selector, labels_of(each)) and not is_finished(each)]
        healthy = sum(has_condition(each, "Ready") and not is_deleting(each) for each in group)
        if healthy - 1 < _wanted(budget["spec"], len(group)):
            raise disruption_refused(name_of(budget), healthy, _wanted(budget["spec"], len(group)))


def _wanted(spec: Object, expected: int) -> int:
    if "minAvailable" in spec:
        return _count(spec["minAvailable"], expected)
    return expected - _count(spec.get("maxUnavailable", expected), expected)


def _count(value: Any, expected: int) -> int:
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdecimal():
        return math.ceil(int(value[:-1]) * expected / 100)
    return int(value) if isinstance(value, int) else 0
