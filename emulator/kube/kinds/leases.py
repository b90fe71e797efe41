"""Leases: how a kubelet says that it is alive, and how one of many is chosen."""

from __future__ import annotations

from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.objects import dig
from emulator.kube.resource import Column, Resource

LEASES = Resource(
    kind="Lease",
    plural="leases",
    group="coordination.k8s.io",
    created_by_put=True,
    columns=(NAME, Column("Holder", lambda lease, _now: dig(lease, "spec", "holderIdentity") or ""), AGE),
)
