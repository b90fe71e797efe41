"""The OpenAPI documents, made from the types: enough for kubectl to explain, validate and choose how to patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emulator.kube.objects import Object
from emulator.kube.resource import Resource
from emulator.kube.schema import TYPES, Type

PREFIX = "io.k8s.api."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
OF_META = ("ObjectMeta", "OwnerReference", "LabelSelector", "LabelSelectorRequirement", "DeleteOptions", "Condition")
PLAIN: dict[str, Object] = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "quantity": {"type": "string"},
    "port": {"type": "string", "format": "int-or-string"},
    "any": {"type": "object"},
}
WRITE_PARAMETERS = [{"name": name, "in": "query"} for name in ("fieldManager", "fieldValidation", "dryRun", "force")]


def version_3(info: Object, root: str, resources: Iterable[Resource]) -> Object:
    """Return the document of one group and version."""
    listed = [*resources]
    components = {"schemas": _schemas(listed, "#/components/schemas/")}
    return {"openapi": "3.0.0", "info": info, "paths": _paths(root, listed), "components": components}


def version_2(info: Object, resources: Iterable[tuple[str, Resource]]) -> Object:
    """Return the document of everything; resources come with the root of their paths."""
    listed = [*resources]
    paths = {place: path for root, resource in listed for place, path in _paths(root, [resource]).items()}
    schemas = _schemas([resource for _root, resource in listed], "#/definitions/")
    return {"swagger": "2.0", "info": info, "paths": paths, "definitions": schemas}


def _name(type_name: str, kinds: dict[str, Resource]) -> str:
    resource = kinds.get(type_name)
    if resource and resource.group:
        return f"{PREFIX}{resource.group.partition('.')[0]}.{resource.version}.{type_name}"
    return f"{META if type_name in OF_META else PREFIX + 'core.v1.'}{type_name}"


def _schemas(resources: list[Resource], where: str) -> Object:
    kinds = {resource.kind: resource for resource in resources}
    found: Object = {}
    waiting = [*kinds]
    while waiting:
        name = waiting.pop()
        if _name(name, kinds) in found:
            continue
        fields = {key: _schema(known, kinds, where) for key, known in TYPES[name].items()}
        schema: Object = {"type": "object", "description": f"{name} of Kubernetes' API.", "properties": fields}
        if name in kinds:
            schema["x-kubernetes-group-version-kind"] = [_kind(kinds[name])]
        found[_name(name, kinds)] = schema
        waiting += [known.name for known in TYPES[name].values() if known.name in TYPES]
    return found


def _kind(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(known: Type, kinds: dict[str, Resource], where: str) -> Object:
    one = PLAIN.get(known.name) or {"$ref": where + _name(known.name, kinds)}
    if known.form == "[":
        return {"type": "array", "items": one}
    return {"type": "object", "additionalProperties": one} if known.form == "{" else one


def _paths(root: str, resources: list[Resource]) -> Object:
    paths: Object = {}
    for resource in resources:
        place = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
        base: dict[str, Any] = {"x-kubernetes-group-version-kind": _kind(resource), "responses": {}}
        writing = base | {"parameters": WRITE_PARAMETERS}
        paths[f"{place}/{resource.plural}"] = {"get": base, "post": writing}
        paths[f"{place}/{resource.plural}/{{name}}"] = {"get": base, "patch": writing, "put": writing}
    return paths
