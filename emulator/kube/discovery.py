"""What the server says about itself: version, groups, resources, and an OpenAPI document that suffices for kubectl."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emulator.kube import openapi
from emulator.kube.kinds import group_versions
from emulator.kube.objects import Object
from emulator.kube.resource import Resource

# The version whose behaviour is followed; clients choose their requests by it.
VERSION: Object = {
    "major": "1",
    "minor": "31",
    "gitVersion": "v1.31.0-binderless",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2024-08-13T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


INFO: Object = {"title": "Kubernetes", "version": VERSION["gitVersion"]}


def document(path: str) -> Object | None:
    """Return the document at a path, or None where there is none."""
    path = path.rstrip("/")
    fixed = {"": {"paths": paths()}, "/version": VERSION, "/api": _api_versions(), "/apis": _groups()}
    if path in fixed:
        return fixed[path]
    if path == "/openapi/v2":
        served = [(_root(version), resource) for version, listed in group_versions().items() for resource in listed]
        return openapi.version_2(INFO, served)
    if path == "/openapi/v3":
        return {"paths": {p.lstrip("/"): {"serverRelativeURL": f"/openapi/v3{p}?hash=1"} for p in _grouppaths()}}
    for group_version, resources in group_versions().items():
        root = _root(group_version)
        if path == root:
            return _resource_list(group_version, resources)
        if path == f"/openapi/v3{root}":
            return openapi.version_3(INFO, root, resources)
        if path == f"/apis/{group_version.partition('/')[0]}" and "/" in group_version:
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group_version)
    return None


def _root(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def _grouppaths() -> list[str]:
    return [_root(group_version) for group_version in group_versions()]


def paths() -> list[str]:
    """Return the addresses that a lost client is told."""
    return ["/api", "/apis", *_grouppaths(), "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]


def _api_versions() -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _groups() -> Object:
    groups = [_group(group_version) for group_version in group_versions() if "/" in group_version]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(group_version: str) -> Object:
    group, _, version = group_version.partition("/")
    one = {"groupVersion": group_version, "version": version}
    return {"name": group, "versions": [one], "preferredVersion": one}


def _resource_list(group_version: str, resources: Iterable[Resource]) -> Object:
    listed = [entry for resource in resources for entry in _entries(resource)]
    # The list of the core group says nothing of its own version, as it was before there was one.
    own = {} if group_version == "v1" else {"apiVersion": "v1"}
    return {"kind": "APIResourceList"} | own | {"groupVersion": group_version, "resources": listed}


def _entries(resource: Resource) -> Iterable[Object]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    for key, values in (("shortNames", resource.short_names), ("categories", resource.categories)):
        if values:
            entry[key] = list(values)
    yield entry
    for part in resource.subresources:
        yield {
            "name": f"{resource.plural}/{part.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": part.kind or resource.kind,
            "verbs": list(part.verbs),
        } | ({"group": part.group, "version": part.version} if part.group else {})
