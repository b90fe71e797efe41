"""Which node a pod goes to: a pure decision over the pod and the nodes with what they already carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from emulator.kube.objects import Object, all_containers, dig, has_condition, is_deleting, labels_of, name_of
from emulator.kube.quantities import quantity

RESOURCES = ("cpu", "memory")
UNTOLD = "ephemeral-storage"


@dataclass(frozen=True, slots=True)
class Load:
    """What a node can still take."""

    node: Object
    free: dict[str, float]
    pods_left: int


def requests_of(pod: Object) -> dict[str, float]:
    """Return what a pod asks for: all its containers together, or its most hungry init container."""
    spec = pod["spec"]
    asked = {name for container in all_containers(spec) for name in dig(container, "resources", "requests") or {}}
    return {
        name: max(
            sum(_requested(container, name) for container in spec.get("containers") or []),
            max((_requested(container, name) for container in spec.get("initContainers") or []), default=0.0),
        )
        for name in (*RESOURCES, *sorted(asked.difference(RESOURCES)))
    }


def _requested(container: Object, name: str) -> float:
    return quantity(dig(container, "resources", "requests", name)) or 0.0


def load_of(node: Object, pods: Iterable[Object]) -> Load:
    """Return what a node can take beside these pods."""
    allocatable = dig(node, "status", "allocatable") or {}
    free = dict.fromkeys(RESOURCES, 0.0) | {name: quantity(amount) or 0.0 for name, amount in allocatable.items()}
    load = Load(node, free, int(quantity(allocatable.get("pods", 110)) or 0))
    return reduce(with_pod, pods, load)


def with_pod(load: Load, pod: Object) -> Load:
    """Return what a node can take beside one pod more."""
    asked = requests_of(pod)
    free = {name: amount - asked.get(name, 0.0) for name, amount in load.free.items()}
    return Load(load.node, free, load.pods_left - 1)


def choose(pod: Object, loads: Sequence[Load]) -> str | None:
    """Return the name of the fitting node with most memory left, or None."""
    fitting = [load for load in loads if not problems(pod, load)]
    return name_of(max(fitting, key=lambda load: load.free["memory"]).node) if fitting else None


def problems(pod: Object, load: Load) -> list[str]:
    """Return why a pod cannot go to a node, in the words of the scheduler."""
    node = load.node
    if not has_condition(node, "Ready"):
        return ["node(s) were not ready"]
    if dig(node, "spec", "unschedulable"):
        return ["node(s) were unschedulable"]
    if taint := _untolerated(pod, node):
        return [f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value', '')}}}"]
    selector = dig(pod, "spec", "nodeSelector") or {}
    if any(labels_of(node).get(key) != value for key, value in selector.items()):
        return ["node(s) didn't match Pod's node affinity/selector"]
    found = ["Too many pods"] if load.pods_left < 1 else []
    return found + [f"Insufficient {name}" for name, amount in requests_of(pod).items() if _lacks(load, name, amount)]


def _lacks(load: Load, name: str, asked: float) -> bool:
    # A node that does not tell of a resource has none of it; but each has a disk.
    if name not in load.free and name == UNTOLD:
        return False
    # Sums of floats are not exact; a millionth of a core or a byte is no reason to refuse.
    return asked > max(load.free.get(name, 0.0), 0.0) + 1e-6


def _untolerated(pod: Object, node: Object) -> Object | None:
    tolerations = dig(pod, "spec", "tolerations") or []
    hard = (t for t in dig(node, "spec", "taints") or [] if t.get("effect") in ("NoSchedule", "NoExecute"))
    return next((taint for taint in hard if not any(tolerates(t, taint) for t in tolerations)), None)


def tolerates(toleration: Object, taint: Object) -> bool:
    """Tell whether a toleration is one of this taint."""
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return (toleration.get("key"), toleration.get("value", "")) == (taint.get("key"), taint.get("value", ""))


def claim_problem(pod: Object, claims: Mapping[str, Object | None]) -> str:
    """Return why no node will do for the claims that a pod mounts, or nothing."""
    for name, claim in claims.items():
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if is_deleting(claim):
            return f'persistentvolumeclaim "{name}" is being deleted'
    unbound = any(dig(claim, "status", "phase") != "Bound" for claim in claims.values())
    return "pod has unbound immediate PersistentVolumeClaims" if unbound else ""


def explain(pod: Object, loads: Sequence[Load], *, everywhere: str = "") -> str:
    """Say why no node fits; *everywhere* is a reason that all nodes have."""
    if not loads:
        return "no nodes available to schedule pods"
    counted = Counter(problem for load in loads for problem in ([everywhere] if everywhere else problems(pod, load)))
    listed = ", ".join(sorted(f"{number} {problem}" for problem, number in counted.items()))
    return f"0/{len(loads)} nodes are available: {listed}."
