"""Every resource that is served, as data. A new kind is a module here and a line in `RESOURCES`."""

from __future__ import annotations

from emulator.kube.kinds.core import (
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from emulator.kube.kinds.jobs import JOBS
from emulator.kube.kinds.nodes import NODES
from emulator.kube.kinds.pods import PODS
from emulator.kube.kinds.services import SERVICES
from emulator.kube.resource import Resource

RESOURCES: tuple[Resource, ...] = (
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    JOBS,
    LEASES,
)

BY_ID = {resource.id: resource for resource in RESOURCES}
BY_KIND = {(resource.api_version, resource.kind): resource for resource in RESOURCES}


def find(group: str, version: str, plural: str) -> Resource | None:
    """Return the resource that a path names."""
    resource = BY_ID.get(f"{plural}.{group}" if group else plural)
    return resource if resource and resource.version == version else None


def group_versions() -> dict[str, list[Resource]]:
    """Return the resources by `v1`, `batch/v1`, ..."""
    found: dict[str, list[Resource]] = {}
    for resource in RESOURCES:
        found.setdefault(resource.api_version, []).append(resource)
    return found


__all__ = [
    "BY_ID",
    "BY_KIND",
    "CONFIG_MAPS",
    "EVENTS",
    "JOBS",
    "LEASES",
    "NAMESPACES",
    "NODES",
    "PODS",
    "RESOURCES",
    "SERVICE_ACCOUNTS",
    "find",
    "group_versions",
]
