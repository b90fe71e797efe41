"""Sets of fields, in the form in which managedFields tells them (FieldsV1): `{"f:spec": {"f:replicas": {}}}`. Pure.

A step is `f:<field>` or, in a list of things with keys, `k:<keys as JSON>`, or `v:<the item>` in a list that is a set.
The empty map is the field itself, all of it. https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from emulator.kube.objects import Object
from emulator.kube.schema import TYPES, Type

Fields = dict[str, Any]

# The keys of lists whose items are merged one by one; other lists are one value.
LIST_KEYS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Container", "env"): ("name",),
    ("Container", "ports"): ("containerPort", "protocol"),
    ("Container", "volumeDevices"): ("devicePath",),
    ("Container", "volumeMounts"): ("mountPath",),
    ("JobStatus", "conditions"): ("type",),
    ("NodeStatus", "addresses"): ("type",),
    ("NodeStatus", "conditions"): ("type",),
    ("ObjectMeta", "ownerReferences"): ("uid",),
    ("PodSpec", "containers"): ("name",),
    ("PodSpec", "ephemeralContainers"): ("name",),
    ("PodSpec", "hostAliases"): ("ip",),
    ("PodSpec", "imagePullSecrets"): ("name",),
    ("PodSpec", "initContainers"): ("name",),
    ("PodSpec", "topologySpreadConstraints"): ("topologyKey", "whenUnsatisfiable"),
    ("PodSpec", "volumes"): ("name",),
    ("PodStatus", "conditions"): ("type",),
    ("PodStatus", "podIPs"): ("ip",),
    ("ServiceAccount", "secrets"): ("name",),
    ("ServiceSpec", "ports"): ("port", "protocol"),
}
SETS = (("ObjectMeta", "finalizers"), ("NamespaceSpec", "finalizers"))
# Structures and maps that are one value.
ATOMIC = {
    "ConfigMapKeySelector", "LabelSelector", "LocalObjectReference", "NodeSelector", "ObjectFieldSelector",
    "ObjectReference", "ResourceFieldSelector", "RoleRef", "SecretKeySelector", "SecretReference",
}  # fmt: skip
ATOMIC_MAPS = {("PodSpec", "nodeSelector"), ("ServiceSpec", "selector")}
KEY_DEFAULTS = {"protocol": "TCP"}


def key_of(item: Any, keys: tuple[str, ...]) -> str:
    """Return the step that names an item of a list by its keys."""
    return _key(tuple((key, item.get(key, KEY_DEFAULTS.get(key))) for key in keys))


@lru_cache(4096)
def _key(pairs: tuple[tuple[str, Any], ...]) -> str:
    return "k:" + json.dumps({key: value for key, value in pairs if value is not None}, separators=(",", ":"))


def fields_of(type_name: str, value: Object) -> Fields:
    """Return every field of an object of this type."""
    types = TYPES[type_name]
    return {
        f"f:{key}": _of(type_name, key, types[key], item)
        for key, item in value.items()
        if key in types and not (item is None and types[key].or_null)
    }


def _of(owner: str, key: str, known: Type, value: Any) -> Fields:
    if known.form == "{":
        return {} if (owner, key) in ATOMIC_MAPS else {f"f:{name}": {} for name in value}
    if known.form == "[":
        if (owner, key) in SETS:
            return {f"v:{json.dumps(item)}": {} for item in value}
        keys = LIST_KEYS.get((owner, key))
        return {key_of(item, keys): {".": {}} | fields_of(known.name, item) for item in value} if keys else {}
    return fields_of(known.name, value) if known.name in TYPES and known.name not in ATOMIC else {}


def union(one: Fields, other: Fields) -> Fields:
    """Return what is in one or the other."""
    both = {step: union(one[step], other[step]) for step in one if step in other}
    return one | other | both


def difference(one: Fields, other: Fields) -> Fields:
    """Return what is in *one* and not in *other*."""
    result: Fields = {}
    for step, inner in one.items():
        if step not in other:
            result[step] = inner
        elif inner and (left := difference(inner, other[step])):
            result[step] = left
    return result


def leaves(fields: Fields, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of what is a value."""
    for step, inner in fields.items():
        if step != ".":
            yield from leaves(inner, (*path, step)) if set(inner) - {"."} else iter([(*path, step)])


def has(fields: Fields, path: tuple[str, ...]) -> bool:
    """Tell whether a path is in a set."""
    for step in path:
        if step not in fields:
            return False
        fields = fields[step]
    return True


def without(fields: Fields, path: tuple[str, ...]) -> Fields:
    """Return a set without one path, and without what is empty then."""
    step, *rest = path
    if step not in fields:
        return fields
    inner = without(fields[step], tuple(rest)) if rest else {}
    kept = {name: value for name, value in fields.items() if name != step}
    return kept | ({step: inner} if set(inner) - {"."} else {})


def value_at(obj: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path, or None where the path ends early."""
    for step in path:
        kind, name = step[:1], step[2:]
        if kind == "f":
            obj = obj.get(name) if isinstance(obj, dict) else None
        elif kind == "k":
            obj = _item(obj, name)
        else:
            obj = json.loads(name) if isinstance(obj, list) and json.loads(name) in obj else None
    return obj


def _item(items: Any, key: str) -> Any:
    wanted = json.loads(key)
    matching = (item for item in items or [] if key_of(item, tuple(wanted)) == f"k:{key}")
    return next(matching, None)


def shown(path: tuple[str, ...]) -> str:
    """Write a path as messages do: `.spec.ports[port=80,protocol="TCP"].name`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            pairs = (f"{name}={json.dumps(value)}" for name, value in sorted(json.loads(step[2:]).items()))
            text += f"[{','.join(pairs)}]"
        else:
            text += f"[={step[2:]}]"
    return text
