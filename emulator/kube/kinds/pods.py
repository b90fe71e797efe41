"""Pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from emulator.kube.ages import age
from emulator.kube.errors import Cause, forbidden_field, invalid
from emulator.kube.kinds.pod_template import default_pod_spec, pod_spec_causes
from emulator.kube.objects import Object, clone, condition, dig, has_condition, is_deleting, name_of
from emulator.kube.resource import PROXY_VERBS, STATUS, Column, Resource, Subresource, selectable

WHAT_MAY_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "
    "`spec.activeDeadlineSeconds` or `spec.tolerations` (only additions to existing tolerations)"
)
TOLERATED_S = 300
# https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/
GATED: Object = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "lastTransitionTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


def begin(pod: Object) -> None:
    """Make a new pod: pending, with what admission adds to every pod."""
    spec = pod.setdefault("spec", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    gated = {"conditions": [dict(GATED)]} if spec.get("schedulingGates") else {}
    pod["status"] = {"phase": "Pending", **gated, "qosClass": _quality(spec)}


def _quality(spec: Object) -> str:
    resources = [container.get("resources") or {} for container in spec.get("containers") or []]
    if not any(amounts.get("limits") or amounts.get("requests") for amounts in resources):
        return "BestEffort"
    limits = [amounts.get("limits") or {} for amounts in resources]
    same = all((r.get("requests") or limit) == limit for r, limit in zip(resources, limits, strict=True))
    return "Guaranteed" if same and all({"cpu", "memory"} <= set(limit) for limit in limits) else "Burstable"


def default(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(toleration.get("key") in (key, None) for toleration in tolerations):
            added = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATED_S}
            tolerations.append(added)


def validate(pod: Object) -> list[Cause]:
    causes = list(pod_spec_causes(pod["spec"], "spec"))
    if pod["spec"].get("schedulingGates") and pod["spec"].get("nodeName"):
        causes.append(forbidden_field("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return causes


def validate_update(new: Object, old: Object) -> Iterator[Cause]:
    """Only images, the deadline (downwards), more tolerations and fewer scheduling gates may change."""
    before, after = clone(old["spec"]), clone(new["spec"])
    for group in ("containers", "initContainers"):
        if len(before.get(group) or []) != len(after.get(group) or []):
            yield forbidden_field(f"spec.{group}", "pod updates may not add or remove containers")
            return
        for container in (*(before.get(group) or []), *(after.get(group) or [])):
            container.pop("image", None)
    yield from _deadline_causes(after.pop("activeDeadlineSeconds", None), before.pop("activeDeadlineSeconds", None))
    yield from _gate_causes(after.pop("schedulingGates", None), before.pop("schedulingGates", None))
    tolerated = after.pop("tolerations", None) or []
    kept = all(toleration in tolerated for toleration in before.pop("tolerations", None) or [])
    if before != after or not kept:
        yield forbidden_field("spec", f"{WHAT_MAY_CHANGE}\n{_difference(before, after)}")


def _difference(before: Object, after: Object) -> str:
    """Show what changed, a field a line."""
    fields = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "\n".join(
        f"- {name}: {json.dumps(before.get(name))}\n+ {name}: {json.dumps(after.get(name))}" for name in fields
    )


def _deadline_causes(new: int | None, old: int | None) -> Iterator[Cause]:
    field = "spec.activeDeadlineSeconds"
    if old is not None and new is None:
        yield invalid(field, "null", "must not update from a positive integer to nil value")
    elif old is not None and new is not None and new > old:
        yield invalid(field, new, f"must be less than or equal to previous value '{old}'")


def _gate_causes(new: list[Object] | None, old: list[Object] | None) -> Iterator[Cause]:
    for gate in new or []:
        if gate not in (old or []):
            why = f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'"
            yield forbidden_field("spec.schedulingGates", why)


def _statuses(pod: Object) -> list[Object]:
    return dig(pod, "status", "containerStatuses") or []


def ready(pod: Object, _now: datetime) -> str:
    return f"{sum(bool(s.get('ready')) for s in _statuses(pod))}/{len(pod['spec']['containers'])}"


def restarts(pod: Object, _now: datetime) -> int:
    return sum(int(s.get("restartCount", 0)) for s in _statuses(pod))


def summary(pod: Object, _now: datetime) -> str:
    """Say in one word how a pod is, as the STATUS column does."""
    gated = (condition(pod, "PodScheduled") or {}).get("reason") == GATED["reason"]
    text = dig(pod, "status", "reason") or (gated and GATED["reason"]) or dig(pod, "status", "phase") or "Unknown"
    initializing = _initializing(pod)
    if initializing:
        text = initializing
    else:
        for status in reversed(_statuses(pod)):
            text = _state_word(status.get("state") or {}) or text
        if text == "Completed" and any("running" in (s.get("state") or {}) for s in _statuses(pod)):
            text = "Running" if has_condition(pod, "Ready") else "NotReady"
    return "Terminating" if is_deleting(pod) else str(text)


def _state_word(state: Object) -> str:
    waiting, terminated = state.get("waiting") or {}, state.get("terminated")
    if waiting.get("reason") or terminated is None:
        return str(waiting.get("reason") or "")
    return str(terminated.get("reason") or f"ExitCode:{terminated.get('exitCode')}")


def _initializing(pod: Object) -> str:
    statuses = dig(pod, "status", "initContainerStatuses") or []
    for index, status in enumerate(statuses):
        state = status.get("state") or {}
        if dig(state, "terminated", "exitCode") == 0:
            continue
        word = _state_word(state)
        # A container that waits for those before it says PodInitializing; how many are done is of more use.
        return f"Init:{word}" if word and word != "PodInitializing" else f"Init:{index}/{len(statuses)}"
    return ""


def _or_none(*path: str) -> Any:
    return lambda pod, _now: dig(pod, *path) or "<none>"


PODS = Resource(
    kind="Pod",
    plural="pods",
    short_names=("po",),
    categories=("all",),
    subresources=(
        STATUS,
        Subresource("attach", ("create", "get"), "PodAttachOptions"),
        Subresource("binding", ("create",), "Binding"),
        Subresource("eviction", ("create",), "Eviction", "policy", "v1"),
        Subresource("exec", ("create", "get"), "PodExecOptions"),
        Subresource("log", ("get",)),
        Subresource("portforward", ("create", "get"), "PodPortForwardOptions"),
        Subresource("proxy", PROXY_VERBS, "PodProxyOptions"),
    ),
    selectable=selectable(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    begin=begin,
    default=default,
    validate=validate,
    validate_update=lambda new, old: list(validate_update(new, old)),
    answers_deleted_object=True,
    columns=(
        Column("Name", lambda pod, _now: name_of(pod), format="name"),
        Column("Ready", ready),
        Column("Status", summary),
        Column("Restarts", restarts, type="integer"),
        Column("Age", age),
        Column("IP", _or_none("status", "podIP"), priority=1),
        Column("Node", _or_none("spec", "nodeName"), priority=1),
        Column("Nominated Node", _or_none("status", "nominatedNodeName"), priority=1),
        Column("Readiness Gates", lambda _pod, _now: "<none>", priority=1),
    ),
)
