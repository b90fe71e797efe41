"""Endpoints follow services: the addresses of the pods that a service selects, ready or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from emulator.kube.cluster import Cluster
from emulator.kube.deletion import delete
from emulator.kube.errors import ApiError
from emulator.kube.kinds import ENDPOINTS, PODS, SERVICES
from emulator.kube.objects import (
    Object,
    all_containers,
    clone,
    dig,
    has_condition,
    is_deleting,
    is_finished,
    labels_of,
    metadata,
    name_of,
    namespace_of,
    timestamp,
    uid_of,
)
from emulator.kube.store import Change, Key
from emulator.kube.writes import create, modify

TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Keeps the endpoints of every service that selects pods."""

    cluster: Cluster

    def concerns(self, change: Change) -> Iterable[Key]:
        if change.key.resource in (SERVICES.id, ENDPOINTS.id):
            return (Key(SERVICES.id, change.key.namespace, change.key.name),)
        if change.key.resource != PODS.id:
            return ()
        states = (change.object, change.previous or {})
        return [
            Key(SERVICES.id, change.key.namespace, name_of(service))
            for service in self.cluster.store.objects(SERVICES.id, change.key.namespace)
            if any(_selects(service, labels_of(state)) for state in states)
        ]

    def start(self) -> Iterable[Key]:
        services = self.cluster.store.objects(SERVICES.id)
        return [Key(SERVICES.id, namespace_of(service), name_of(service)) for service in services]

    def reconcile(self, key: Key) -> datetime | None:
        service = self.cluster.store.get(key)
        place = Key(ENDPOINTS.id, key.namespace, key.name)
        known = self.cluster.store.get(place)
        if service is None or is_deleting(service):
            # Endpoints that nobody's service made are left alone: these carry the mark of this controller.
            if known is not None and TRIGGERED in (metadata(known).get("annotations") or {}):
                delete(self.cluster, ENDPOINTS, key.namespace, key.name)
            return None
        if not dig(service, "spec", "selector") or dig(service, "spec", "type") == "ExternalName":
            return None
        pods = self.cluster.store.objects(PODS.id, key.namespace)
        self._write(service, known, subsets(service, [pod for pod in pods if _selects(service, labels_of(pod))]))
        return None

    def _write(self, service: Object, known: Object | None, wanted: list[Object]) -> None:
        if known is not None and _plain(known.get("subsets") or []) == _plain(wanted):
            return
        moment = timestamp(self.cluster.now())
        namespace, name = namespace_of(service), name_of(service)

        def write(obj: Object) -> None:
            meta = obj.setdefault("metadata", {})
            meta.setdefault("annotations", {})[TRIGGERED] = moment
            meta["labels"] = labels_of(service)
            obj["subsets"] = wanted

        try:
            if known is not None:
                modify(self.cluster, ENDPOINTS, namespace, name, write)
            else:
                new: Object = {"metadata": {"name": name}}
                write(new)
                create(self.cluster, ENDPOINTS, namespace, new)
        except ApiError as error:
            # A namespace that is being deleted gets no more endpoints.
            if error.code != 403:
                raise


def _selects(service: Object, labels: dict[str, str]) -> bool:
    wanted = dig(service, "spec", "selector") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def _plain(found: Sequence[Object]) -> Any:
    """Subsets without the versions of their pods: those change with every heartbeat of a probe."""
    plain = clone(found)
    for subset in plain:
        for address in (*(subset.get("addresses") or ()), *(subset.get("notReadyAddresses") or ())):
            (address.get("targetRef") or {}).pop("resourceVersion", None)
    return plain


def subsets(service: Object, pods: Iterable[Object]) -> list[Object]:
    """Return the subsets of a service's endpoints: pods by the ports that they offer. Pure."""
    found: dict[tuple[tuple[str, int, str], ...], dict[str, list[Object]]] = {}
    unready_too = bool(dig(service, "spec", "publishNotReadyAddresses"))
    for pod in pods:
        if is_finished(pod) or is_deleting(pod) or not dig(pod, "status", "podIP"):
            continue
        ports = tuple(_ports(service, pod))
        if not ports and dig(service, "spec", "ports"):
            continue
        ready = unready_too or has_condition(pod, "Ready")
        group = found.setdefault(ports, {})
        group.setdefault("addresses" if ready else "notReadyAddresses", []).append(_address(pod))
    return [
        {kind: sorted(addresses, key=lambda a: str(a["ip"])) for kind, addresses in sorted(group.items())}
        | ({"ports": [_port(*port) for port in ports]} if ports else {})
        for ports, group in sorted(found.items())
    ]


def _port(name: str, number: int, protocol: str) -> Object:
    return ({"name": name} if name else {}) | {"port": number, "protocol": protocol}


def _ports(service: Object, pod: Object) -> Iterable[tuple[str, int, str]]:
    for port in dig(service, "spec", "ports") or []:
        target, protocol = port["targetPort"], port["protocol"]
        number = target if isinstance(target, int) else _named(pod, target, protocol)
        if number:
            yield port.get("name", ""), number, protocol


def _named(pod: Object, name: str, protocol: str) -> int | None:
    listed = (port for container in all_containers(pod["spec"]) for port in container.get("ports") or [])
    numbers = (port["containerPort"] for port in listed if (port.get("name"), port["protocol"]) == (name, protocol))
    return next(numbers, None)


def _address(pod: Object) -> Object:
    about = {
        "kind": "Pod",
        "namespace": namespace_of(pod),
        "name": name_of(pod),
        "uid": uid_of(pod),
        "resourceVersion": metadata(pod)["resourceVersion"],
    }
    node = dig(pod, "spec", "nodeName")
    return {"ip": pod["status"]["podIP"]} | ({"nodeName": node} if node else {}) | {"targetRef": about}
