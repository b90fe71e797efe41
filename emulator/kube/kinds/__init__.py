"""Every resource that is served, as data. A new kind is a module here and a line in `RESOURCES`."""

from __future__ import annotations

from emulator.kube.kinds.accounts import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS
from emulator.kube.kinds.budgets import DISRUPTION_BUDGETS
from emulator.kube.kinds.data import CONFIG_MAPS, SECRETS
from emulator.kube.kinds.endpoints import ENDPOINTS
from emulator.kube.kinds.events import EVENTS
from emulator.kube.kinds.jobs import JOBS
from emulator.kube.kinds.leases import LEASES
from emulator.kube.kinds.namespaces import NAMESPACES
from emulator.kube.kinds.nodes import NODES
from emulator.kube.kinds.pods import PODS
from emulator.kube.kinds.priorities import PRIORITY_CLASSES
from emulator.kube.kinds.reviews import BINDINGS, REVIEWS, WHO_AM_I
from emulator.kube.kinds.services import SERVICES
from emulator.kube.kinds.storage import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from emulator.kube.resource import Resource

# Groups in the order in which Kubernetes lists them: clients show them so.
SERVED: tuple[Resource, ...] = (
    BINDINGS,
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    WHO_AM_I,
    *REVIEWS,
    JOBS,
    DISRUPTION_BUDGETS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    STORAGE_CLASSES,
    PRIORITY_CLASSES,
    LEASES,
)
# Those that are objects, and not only answers.
RESOURCES = tuple(resource for resource in SERVED if resource.stored)

BY_ID = {resource.id: resource for resource in SERVED}
BY_KIND = {(resource.api_version, resource.kind): resource for resource in SERVED}


def find(group: str, version: str, plural: str) -> Resource | None:
    """Return the resource that a path names."""
    resource = BY_ID.get(f"{plural}.{group}" if group else plural)
    return resource if resource and resource.version == version else None


def group_versions() -> dict[str, list[Resource]]:
    """Return the resources by `v1`, `batch/v1`, ..."""
    found: dict[str, list[Resource]] = {}
    for resource in SERVED:
        found.setdefault(resource.api_version, []).append(resource)
    return found


__all__ = [
    "BY_ID",
    "BY_KIND",
    "CLUSTER_ROLES",
    "CLUSTER_ROLE_BINDINGS",
    "CONFIG_MAPS",
    "DISRUPTION_BUDGETS",
    "ENDPOINTS",
    "EVENTS",
    "JOBS",
    "LEASES",
    "NAMESPACES",
    "NODES",
    "PERSISTENT_VOLUMES",
    "PERSISTENT_VOLUME_CLAIMS",
    "PODS",
    "PRIORITY_CLASSES",
    "RESOURCES",
    "ROLES",
    "ROLE_BINDINGS",
    "SERVED",
    "SERVICES",
    "SERVICE_ACCOUNTS",
    "STORAGE_CLASSES",
    "find",
    "group_versions",
]
