"""Nodes: what kubelets register."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from emulator.kube.ages import age
from emulator.kube.objects import Object, dig, has_condition, labels_of, name_of
from emulator.kube.resource import PROXY_VERBS, STATUS, Column, Field, Resource, Subresource

ROLE_LABEL = "node-role.kubernetes.io/"


def begin(node: Object) -> None:
    """Make a new node. Kubelets register with a status, which counts from the start."""
    node.setdefault("spec", {})
    status = node.setdefault("status", {})
    status.setdefault("allocatable", status.get("capacity", {}))


def health(node: Object, _now: datetime) -> str:
    text = "Ready" if has_condition(node, "Ready") else "NotReady"
    return f"{text},SchedulingDisabled" if dig(node, "spec", "unschedulable") else text


def roles(node: Object, _now: datetime) -> str:
    found = sorted(key.removeprefix(ROLE_LABEL) for key in labels_of(node) if key.startswith(ROLE_LABEL))
    return ",".join(found) or "<none>"


def address(node: Object, kind: str) -> str | None:
    """Return the address of a node of this type."""
    listed = dig(node, "status", "addresses") or []
    return next((str(a.get("address")) for a in listed if a.get("type") == kind), None)


def _info(field: str) -> Any:
    return lambda node, _now: dig(node, "status", "nodeInfo", field) or "<unknown>"


NODES = Resource(
    kind="Node",
    plural="nodes",
    namespaced=False,
    short_names=("no",),
    subresources=(Subresource("proxy", PROXY_VERBS, "NodeProxyOptions"), STATUS),
    selectable={"spec.unschedulable": Field(("spec", "unschedulable"), "false")},
    begin=begin,
    columns=(
        Column("Name", lambda node, _now: name_of(node), format="name"),
        Column("Status", health),
        Column("Roles", roles),
        Column("Age", age),
        Column("Version", lambda node, _now: dig(node, "status", "nodeInfo", "kubeletVersion") or ""),
        Column("Internal-IP", lambda node, _now: address(node, "InternalIP") or "<none>", priority=1),
        Column("External-IP", lambda node, _now: address(node, "ExternalIP") or "<none>", priority=1),
        Column("OS-Image", _info("osImage"), priority=1),
        Column("Kernel-Version", _info("kernelVersion"), priority=1),
        Column("Container-Runtime", _info("containerRuntimeVersion"), priority=1),
    ),
)
