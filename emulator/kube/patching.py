"""PATCH requests: the patch types on stored objects, and apply."""

from __future__ import annotations

from typing import Any

from emulator.kube.cluster import Cluster
from emulator.kube.errors import (
    bad_request,
    forbidden_field,
    invalid_options,
    not_found,
    required,
    unsupported_media_type,
)
from emulator.kube.objects import Object
from emulator.kube.patches import PATCH_TYPES, strategic_patch
from emulator.kube.resource import Resource
from emulator.kube.store import Key
from emulator.kube.writes import create, replace

APPLY = "application/apply-patch+yaml"


def patch(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    body: Any,
    *,
    media_type: str,
    query: dict[str, str],
    part: str = "",
    dry_run: bool = False,
) -> tuple[Object, bool]:
    """Patch an object and return it; also tell whether it was created, which apply may do."""
    if media_type == APPLY:
        return _apply(cluster, resource, namespace, name, body, query=query, part=part, dry_run=dry_run)
    if media_type not in PATCH_TYPES:
        raise unsupported_media_type("415: Unsupported Media Type", {})
    if "force" in query:
        cause = forbidden_field("force", "may not be specified for non-apply patch")
        raise invalid_options("PatchOptions", [cause])
    old = cluster.existing(resource, namespace, name)
    new = PATCH_TYPES[media_type](old, body)
    return replace(cluster, resource, namespace, name, new, part=part, dry_run=dry_run)


def _apply(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    body: Any,
    *,
    query: dict[str, str],
    part: str,
    dry_run: bool,
) -> tuple[Object, bool]:
    # Owners of fields are not recorded: an apply adds and changes, it neither conflicts nor removes.
    if not query.get("fieldManager"):
        raise invalid_options("PatchOptions", [required("fieldManager", "is required for apply patch")])
    given = body.get("apiVersion", "") if isinstance(body, dict) else ""
    if given != resource.api_version:
        versions = f"Specified patch version: {given}, expected: {resource.api_version}"
        raise bad_request(f"Incorrect version specified in apply patch. {versions}")
    old = cluster.store.get(Key(resource.id, namespace, name))
    if old is not None:
        merged = strategic_patch(old, body)
        return replace(cluster, resource, namespace, name, merged, part=part, dry_run=dry_run)
    if part:
        raise not_found(resource, name)
    meta = body.get("metadata") if isinstance(body.get("metadata"), dict) else {}
    named = body | {"metadata": {**meta, "name": name}}
    return create(cluster, resource, namespace, named, dry_run=dry_run), True
