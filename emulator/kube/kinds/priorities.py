"""Priority classes: names for how much a pod matters."""

from __future__ import annotations

from emulator.kube.errors import Cause, forbidden_field
from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.objects import Object
from emulator.kube.resource import Column, Resource

# Every cluster has these.
BUILT_IN = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def _default(made: Object) -> None:
    made.setdefault("value", 0)
    made.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _update_causes(new: Object, old: Object) -> list[Cause]:
    changed = new.get("value") != old.get("value")
    return [forbidden_field("value", "may not be changed in an update.")] if changed else []


PRIORITY_CLASSES = Resource(
    kind="PriorityClass",
    plural="priorityclasses",
    group="scheduling.k8s.io",
    namespaced=False,
    short_names=("pc",),
    default=_default,
    validate_update=_update_causes,
    columns=(
        NAME,
        Column("Value", lambda made, _now: made["value"], type="integer"),
        Column("Global-Default", lambda made, _now: bool(made.get("globalDefault")), type="boolean"),
        AGE,
    ),
)
