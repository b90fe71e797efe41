"""Services. Their addresses are given out and never lead anywhere: pods have addresses of their own."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import datetime

from emulator.kube.ages import age
from emulator.kube.errors import Cause, duplicate, invalid, required, unsupported
from emulator.kube.objects import Object, dig, name_of, uid_of
from emulator.kube.resource import STATUS, Column, Resource
from emulator.kube.shapes import METADATA, PORT, MapOf

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def begin(service: Object) -> None:
    """Make a new service with an address."""
    spec = service.setdefault("spec", {})
    service["status"] = {"loadBalancer": {}}
    spec.setdefault("type", "ClusterIP")
    if spec["type"] != "ExternalName":
        spec.setdefault("clusterIP", _address(uid_of(service)))
        spec["clusterIPs"] = [spec["clusterIP"]]


def _address(uid: str) -> str:
    # Nothing listens there; it only has to look like an address, and to be the same for the same service.
    number = zlib.crc32(uid.encode())
    return f"10.96.{number >> 8 & 255}.{number % 254 + 1}"


def default(service: Object) -> None:
    spec = service["spec"]
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port", 0))


def validate(service: Object) -> list[Cause]:
    spec = service["spec"]
    ports = spec.get("ports") or []
    if spec["type"] not in TYPES:
        return [unsupported("spec.type", spec["type"], TYPES)]
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        return [required("spec.externalName")]
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        return [required("spec.ports")]
    return list(_port_causes(ports))


def _port_causes(ports: list[Object]) -> Iterator[Cause]:
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{field}.name")
        if any((port.get("port"), port["protocol"]) == (p.get("port"), p["protocol"]) for p in ports[:index]):
            yield duplicate(field, f"{port['protocol']}/{port.get('port')}")
        for name in ("port", "targetPort"):
            number = port.get(name, 0)
            if isinstance(number, int) and not 1 <= number <= 65535:
                yield invalid(f"{field}.{name}", number, "must be between 1 and 65535, inclusive")


def validate_update(new: Object, old: Object) -> list[Cause]:
    address = new["spec"].get("clusterIP")
    if old["spec"].get("clusterIP") in (address, None):
        return []
    return [invalid("spec.clusterIPs[0]", [address], "may not change once set")]


def ports(service: Object, _now: datetime) -> str:
    listed = dig(service, "spec", "ports") or []
    return ",".join(f"{port.get('port')}/{port.get('protocol')}" for port in listed) or "<none>"


def selector(service: Object, _now: datetime) -> str:
    labels = dig(service, "spec", "selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


SERVICES = Resource(
    kind="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    subresources=(STATUS,),
    shape={
        "metadata": METADATA,
        "spec": {
            "type": str,
            "clusterIP": str,
            "selector": MapOf(str),
            "ports": [{"name": str, "port": int, "targetPort": PORT, "protocol": str}],
        },
        "status": {},
    },
    begin=begin,
    default=default,
    validate=validate,
    validate_update=validate_update,
    name_rule="service",
    columns=(
        Column("Name", lambda service, _now: name_of(service), format="name"),
        Column("Type", lambda service, _now: service["spec"]["type"]),
        Column("Cluster-IP", lambda service, _now: service["spec"].get("clusterIP") or "<none>"),
        Column("External-IP", lambda service, _now: service["spec"].get("externalName") or "<none>"),
        Column("Port(s)", ports),
        Column("Age", age),
        Column("Selector", selector, priority=1),
    ),
)
