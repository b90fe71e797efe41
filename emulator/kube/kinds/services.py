"""Services. Pods find each other by the endpoints; the addresses of services are given out and lead nowhere."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from emulator.kube.ages import age
from emulator.kube.errors import Cause, duplicate, invalid, invalid_object, required, unsupported
from emulator.kube.kinds.columns import NAME
from emulator.kube.names import key_problems
from emulator.kube.objects import Object, dig, name_of, namespace_of
from emulator.kube.resource import PROXY_VERBS, STATUS, Column, Resource, Subresource

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")
ADDRESSES = ipaddress.IPv4Network("10.96.0.0/16")
FIRST_NODE_PORT, LAST_NODE_PORT = 30000, 32767
HEADLESS = "None"
_TRIES = 1000


def begin(service: Object) -> None:
    """Make a new service."""
    service["status"] = {"loadBalancer": {}}


def default(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec.get("type") in ("LoadBalancer", "NodePort"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec.get("type") != "ExternalName":
        spec |= {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
        spec.setdefault("internalTrafficPolicy", "Cluster")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port", 0))


def validate(service: Object) -> list[Cause]:
    spec = service["spec"]
    listed = spec.get("ports") or []
    if spec["type"] not in TYPES:
        return [unsupported("spec.type", spec["type"], TYPES)]
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        return [required("spec.externalName")]
    causes = [*_port_causes(listed)]
    if not listed and spec["type"] != "ExternalName" and spec.get("clusterIP") != HEADLESS:
        causes.append(required("spec.ports"))
    for key in spec.get("selector") or {}:
        causes += [invalid("spec.selector", key, text) for text in key_problems(key)]
    if spec["sessionAffinity"] not in ("ClientIP", "None"):
        causes.append(unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None")))
    return causes


def _port_causes(listed: list[Object]) -> Iterator[Cause]:
    for index, port in enumerate(listed):
        field = f"spec.ports[{index}]"
        if len(listed) > 1 and not port.get("name"):
            yield required(f"{field}.name")
        if port.get("name") and any(port["name"] == other.get("name") for other in listed[:index]):
            yield duplicate(f"{field}.name", port["name"])
        if port["protocol"] not in PROTOCOLS:
            yield unsupported(f"{field}.protocol", port["protocol"], PROTOCOLS)
        for name in ("port", "targetPort"):
            number = port.get(name, 0)
            if isinstance(number, int) and not 1 <= number <= 65535:
                yield invalid(f"{field}.{name}", number, "must be between 1 and 65535, inclusive")
        if any((port.get("port"), port["protocol"]) == (p.get("port"), p["protocol"]) for p in listed[:index]):
            yield duplicate(field, {"port": port.get("port"), "protocol": port["protocol"]})


def validate_update(new: Object, old: Object) -> list[Cause]:
    address, before = new["spec"].get("clusterIP"), old["spec"].get("clusterIP")
    if before in (address, None) or "ExternalName" in (new["spec"]["type"], old["spec"]["type"]):
        return []
    # A client that leaves the address out means the one it has.
    return [invalid("spec.clusterIPs[0]", [address or ""], "may not change once set")] if address else []


def allocate(store: Any, service: Object) -> None:
    """Give a service its address and node ports, or refuse those that it may not have."""
    spec = service["spec"]
    others = [other for other in store.objects("services") if not _is_same(other, service)]
    mine = store.objects("services", namespace_of(service))
    before = next((other for other in mine if _is_same(other, service)), None)
    if spec["type"] == "ExternalName":
        for field in ("clusterIP", "clusterIPs"):
            spec.pop(field, None)
        return
    _allocate_address(service, before, {dig(other, "spec", "clusterIP") for other in others})
    if spec["type"] in ("LoadBalancer", "NodePort"):
        taken = {port.get("nodePort") for other in others for port in other["spec"].get("ports") or []}
        _allocate_node_ports(service, before, taken)


def _is_same(one: Object, other: Object) -> bool:
    return (namespace_of(one), name_of(one)) == (namespace_of(other), name_of(other))


def _allocate_address(service: Object, before: Object | None, taken: set[Any]) -> None:
    spec = service["spec"]
    wanted = spec.get("clusterIP") or dig(before, "spec", "clusterIP")
    if wanted and wanted != HEADLESS and wanted != dig(before, "spec", "clusterIP"):
        _check_address(service, wanted, taken)
    if not wanted:
        hosts = ADDRESSES.num_addresses - 2
        choices = (str(ADDRESSES[1 + secrets.randbelow(hosts)]) for _ in range(_TRIES))
        wanted = next(address for address in choices if address not in taken)
    spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]


def _check_address(service: Object, wanted: str, taken: set[Any]) -> None:
    try:
        inside = ipaddress.IPv4Address(wanted) in ADDRESSES
    except ValueError:
        text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        raise _refused(service, invalid("spec.clusterIPs[0]", wanted, text)) from None
    why = f"provided IP is not in the valid range. The range of valid IPs is {ADDRESSES}"
    if inside and wanted in taken:
        why = "provided IP is already allocated"
    if not inside or wanted in taken:
        text = f"failed to allocated ip:{wanted} with error:{why}"
        raise _refused(service, invalid("spec.clusterIPs", [wanted], text))


def _allocate_node_ports(service: Object, before: Object | None, taken: set[Any]) -> None:
    had = {port.get("port"): port.get("nodePort") for port in (before or {}).get("spec", {}).get("ports") or []}
    for index, port in enumerate(service["spec"].get("ports") or []):
        field, wanted = f"spec.ports[{index}].nodePort", port.get("nodePort") or had.get(port.get("port"))
        if wanted and not FIRST_NODE_PORT <= wanted <= LAST_NODE_PORT:
            valid = f"The range of valid ports is {FIRST_NODE_PORT}-{LAST_NODE_PORT}"
            raise _refused(service, invalid(field, wanted, f"provided port is not in the valid range. {valid}"))
        if wanted in taken and wanted:
            raise _refused(service, invalid(field, wanted, "provided port is already allocated"))
        port["nodePort"] = wanted or next(p for p in range(FIRST_NODE_PORT, LAST_NODE_PORT) if p not in taken)
        taken.add(port["nodePort"])


def _refused(service: Object, cause: Cause) -> Exception:
    return invalid_object(SERVICES, name_of(service), [cause])


def ports(service: Object, _now: datetime) -> str:
    listed = dig(service, "spec", "ports") or []
    return ",".join(map(_port, listed)) or "<none>"


def _port(port: Object) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol')}"


def selector(service: Object, _now: datetime) -> str:
    labels = dig(service, "spec", "selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _outside(service: Object, _now: datetime) -> str:
    spec = service["spec"]
    addresses = ",".join(spec.get("externalIPs") or [])
    return addresses or spec.get("externalName") or ("<pending>" if spec["type"] == "LoadBalancer" else "<none>")


SERVICES = Resource(
    kind="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    subresources=(Subresource("proxy", PROXY_VERBS, "ServiceProxyOptions"), STATUS),
    begin=begin,
    default=default,
    validate=validate,
    validate_update=validate_update,
    allocate=allocate,
    name_rule="service",
    kept_at="services/specs",
    columns=(
        NAME,
        Column("Type", lambda service, _now: service["spec"]["type"]),
        Column("Cluster-IP", lambda service, _now: service["spec"].get("clusterIP") or "<none>"),
        Column("External-IP", _outside),
        Column("Port(s)", ports),
        Column("Age", age),
        Column("Selector", selector, priority=1),
    ),
)
