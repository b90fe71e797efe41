"""Endpoints: where a service's pods are."""

from __future__ import annotations

from datetime import datetime

from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.objects import Object
from emulator.kube.resource import Column, Resource


def _default_endpoints(endpoints: Object) -> None:
    for subset in endpoints.get("subsets") or []:
        for port in subset.get("ports") or []:
            port.setdefault("protocol", "TCP")


def _listed_addresses(endpoints: Object, _now: datetime) -> str:
    found = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in endpoints.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return ",".join(found[:3]) + more or "<none>"


ENDPOINTS = Resource(
    kind="Endpoints",
    plural="endpoints",
    short_names=("ep",),
    default=_default_endpoints,
    created_by_put=True,
    kept_at="services/endpoints",
    columns=(NAME, Column("Endpoints", _listed_addresses), AGE),
)
