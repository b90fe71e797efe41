"""The subresources of pods that are verbs: binding and eviction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.kube.cluster import Cluster
from emulator.kube.deletion import DeleteOptions, delete, delete_options
from emulator.kube.errors import bad_request, conflict
from emulator.kube.kinds import PODS
from emulator.kube.objects import Object, dig, is_deleting, timestamp
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
    """Answer a POST to `pods/NAME/eviction`: a deletion that budgets could refuse, if there were budgets."""
    options = dig(body, "deleteOptions")
    delete(cluster, PODS, namespace, name, delete_options(options, {}) if options else DeleteOptions())
    return SUCCESS | {"code": 201}
