"""Disruption budgets: how many pods of a group must stay when others want to evict them."""

from __future__ import annotations

from datetime import datetime

from emulator.kube.errors import Cause, invalid
from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.objects import Object, dig
from emulator.kube.resource import STATUS, Column, Resource


def _begin(budget: Object) -> None:
    budget["status"] = {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}


def _causes(budget: Object) -> list[Cause]:
    spec = budget.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        return [invalid("spec", "", "minAvailable and maxUnavailable cannot be both set")]
    return []


def _or_unset(field: str) -> Column:
    def value(budget: Object, _now: datetime) -> str:
        found = dig(budget, "spec", field)
        return "N/A" if found is None else str(found)

    return Column({"minAvailable": "Min Available", "maxUnavailable": "Max Unavailable"}[field], value)


DISRUPTION_BUDGETS = Resource(
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    group="policy",
    short_names=("pdb",),
    subresources=(STATUS,),
    begin=_begin,
    validate=_causes,
    columns=(
        NAME,
        _or_unset("minAvailable"),
        _or_unset("maxUnavailable"),
        Column("Allowed Disruptions", lambda b, _now: dig(b, "status", "disruptionsAllowed") or 0, type="integer"),
        AGE,
    ),
)
