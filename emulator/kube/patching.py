"""PATCH requests: the patch types on stored objects, and apply."""

from __future__ import annotations

import json
from typing import Any

from emulator.kube.cluster import Cluster
from emulator.kube.errors import (
    Undecodable,
    bad_request,
    forbidden_field,
    invalid_options,
    invalid_patch,
    not_found,
    required,
    unsupported_media_type,
)
from emulator.kube.managed_fields import Manager, applied
from emulator.kube.objects import Object, timestamp
from emulator.kube.options import WriteOptions
from emulator.kube.patches import PATCH_TYPES
from emulator.kube.resource import Resource
from emulator.kube.store import Key
from emulator.kube.writes import create, decode, replace, require_creation

APPLY = "application/apply-patch+yaml"


def patch(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    body: Any,
    options: WriteOptions,
    *,
    media_type: str,
    query: dict[str, str],
    part: str = "",
) -> tuple[Object, bool]:
    """Patch an object and return it; also tell whether it was created, which apply may do."""
    if media_type == APPLY:
        return _apply(cluster, resource, namespace, name, body, options, query=query, part=part)
    if media_type not in PATCH_TYPES:
        raise unsupported_media_type("415: Unsupported Media Type", {})
    if "force" in query:
        cause = forbidden_field("force", "may not be specified for non-apply patch")
        raise invalid_options("PatchOptions", [cause])
    old = cluster.existing(resource, namespace, name)
    new = PATCH_TYPES[media_type](old, body)
    try:
        return replace(cluster, resource, namespace, name, new, options, part=part)
    except Undecodable as error:
        if error.detail.startswith("strict decoding error"):
            raise
        raise invalid_patch(json.dumps(new), error.detail) from error


def _apply(
    cluster: Cluster,
    resource: Resource,
    namespace: str,
    name: str,
    body: Any,
    options: WriteOptions,
    *,
    query: dict[str, str],
    part: str,
) -> tuple[Object, bool]:
    if not query.get("fieldManager"):
        raise invalid_options("PatchOptions", [required("fieldManager", "is required for apply patch")])
    given = body.get("apiVersion", "") if isinstance(body, dict) else ""
    if given != resource.api_version:
        versions = f"Specified patch version: {given}, expected: {resource.api_version}"
        raise bad_request(f"Incorrect version specified in apply patch. {versions}")
    config = decode(resource, body, options)
    if config["metadata"].get("name", name) != name:
        given = config["metadata"]["name"]
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    config["metadata"].pop("creationTimestamp", None)
    manager = Manager(options.field_manager, "Apply", timestamp(cluster.now()), part)
    old = cluster.store.get(Key(resource.id, namespace, name))
    if old is None and part:
        raise not_found(resource, name)
    if old is None:
        require_creation(cluster, resource, namespace, name, options)
    new = applied(old, config, manager, force=options.force)
    if old is not None:
        return replace(cluster, resource, namespace, name, new, options, part=part, applying=True)
    new["metadata"]["name"] = name
    return create(cluster, resource, namespace, new, options, applying=True), True
