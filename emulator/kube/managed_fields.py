"""Who manages which fields: server-side apply with its conflicts, and what other writes take over. Pure.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from emulator.kube.errors import ApiError, Cause
from emulator.kube.field_sets import (
    ATOMIC_MAPS,
    LIST_KEYS,
    SETS,
    Fields,
    difference,
    fields_of,
    has,
    key_of,
    leaves,
    shown,
    union,
    value_at,
    without,
)
from emulator.kube.objects import Object, clone, metadata
from emulator.kube.schema import TYPES

# What says which object is meant, or is the server's own, belongs to nobody.
NOBODYS: Fields = {
    "f:apiVersion": {}, "f:kind": {},
    "f:metadata": dict.fromkeys(
        ("f:name", "f:namespace", "f:uid", "f:resourceVersion", "f:creationTimestamp", "f:generateName",
         "f:deletionTimestamp", "f:deletionGracePeriodSeconds", "f:managedFields", "f:generation"), {}
    ),
}  # fmt: skip


# Somebody's entry, and the path of a field in it that somebody else wants otherwise.
Conflict = tuple[Object, tuple[str, ...]]
# What of the metadata can be written through a subresource.
PART_METADATA = ("f:labels", "f:annotations")
FIRST = "before-first-apply"
# This manager goes on with what it applied on its own side, which it noted in this annotation, and notes it on.
# https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes: a name, how (Apply or Update), when, and through which subresource. Each has fields of its own."""

    name: str
    operation: str
    time: str
    part: str = ""

    def has(self, entry: Object) -> bool:
        return (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == (
            self.name,
            self.operation,
            self.part,
        )


def owned(kind: str, obj: Object) -> Fields:
    """Return the fields of an object that somebody can manage."""
    return difference(fields_of(kind, obj), NOBODYS)


def _applicable(kind: str, obj: Object, part: str) -> Fields:
    """Return the fields that an apply to the object, or to its status, can set."""
    found = owned(kind, obj)
    if not part:
        return {step: fields for step, fields in found.items() if step != "f:status"}
    meta = {step: fields for step, fields in found.get("f:metadata", {}).items() if step in PART_METADATA}
    status = {step: fields for step, fields in found.items() if step == "f:status"}
    return status | ({"f:metadata": meta} if meta else {})


def entries_of(obj: Object) -> list[Object]:
    return metadata(obj).get("managedFields") or []


def after_update(old: Object, new: Object, manager: Manager) -> list[Object]:
    """Return managedFields after a write that is no apply: what it changed is its own.

    They are kept from the first apply on; whatever was there before belongs to `before-first-apply`."""
    kind, before = str(new["kind"]), entries_of(old)
    if not before:
        return []
    now = owned(kind, new)
    changed = _changed(owned(kind, old), now, old, new)
    kept = []
    for entry in before:
        fields = _without_all(entry["fieldsV1"], [*leaves(changed), *_gone(entry["fieldsV1"], now)])
        if manager.has(entry):
            changed = union(fields, changed)
        elif fields:
            kept.append(entry | {"fieldsV1": fields})
    return [*kept, _entry(new, manager, changed)] if changed else kept


def _changed(before: Fields, now: Fields, old: Object, new: Object) -> Fields:
    result = now
    for path in leaves(now):
        if has(before, path) and value_at(old, path) == value_at(new, path):
            result = without(result, path)
    return result


def _gone(fields: Fields, now: Fields) -> Iterator[tuple[str, ...]]:
    return (path for path in leaves(fields) if not has(now, path))


def _without_all(fields: Fields, paths: list[tuple[str, ...]]) -> Fields:
    for path in paths:
        fields = without(fields, path)
    return fields


def _entry(obj: Object, manager: Manager, fields: Fields) -> Object:
    return {
        "manager": manager.name,
        "operation": manager.operation,
        **({"subresource": manager.part} if manager.part else {}),
        "apiVersion": obj["apiVersion"],
        "time": manager.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def applied(old: Object | None, config: Object, manager: Manager, *, force: bool) -> Object:
    """Return the object after an apply of *config*. Raises the 409 of its conflicts, unless *force* takes them over."""
    kind = str(config["kind"])
    wanted = _applicable(kind, config, manager.part)
    base: Object = old or {"kind": kind, "apiVersion": config["apiVersion"], "metadata": {}}
    before = entries_of(base)
    if old is not None and not before:
        before = [_entry(old, replace(manager, name=FIRST, operation="Update"), _applicable(kind, old, manager.part))]
    entries, conflicts = _after_taking(before, base, config, wanted, manager)
    taken = last_applied(base) if manager.name == KUBECTL and not manager.part else {}
    conflicts = [(entry, path) for entry, path in conflicts if not has(taken, path)]
    if conflicts and not force:
        raise conflict_of_managers(conflicts)
    own: Fields = next((entry["fieldsV1"] for entry in before if manager.has(entry)), {})
    others = [entry["fieldsV1"] for entry in entries]
    result = clone(base)
    # All are found before the first goes: an item is known by fields of its own.
    for path in [*_dropped(own, wanted, others)]:
        _remove(result, path)
    result = _merged(kind, result, config)
    if taken and LAST_APPLIED in (metadata(result).get("annotations") or {}):
        result["metadata"]["annotations"] |= {LAST_APPLIED: _as_last_applied(config)}
    result["metadata"]["managedFields"] = [*entries, _entry(config, manager, wanted)]
    return result


def _after_taking(
    before: list[Object], base: Object, config: Object, wanted: Fields, manager: Manager
) -> tuple[list[Object], list[Conflict]]:
    """Return what is left to other managers, and each field that one of them loses."""
    entries, conflicts = [], []
    for entry in before:
        if manager.has(entry):
            continue
        lost = [path for path in _common(entry["fieldsV1"], wanted) if value_at(base, path) != value_at(config, path)]
        conflicts += [(entry, path) for path in lost]
        if left := _without_all(entry["fieldsV1"], lost):
            entries.append(entry | {"fieldsV1": left})
    return entries, conflicts


def last_applied(obj: Object) -> Fields:
    """Return the fields that kubectl has applied to an object on its own side, by what it noted there."""
    try:
        config = json.loads((metadata(obj).get("annotations") or {}).get(LAST_APPLIED, "{}"))
        return owned(str(obj["kind"]), config)
    except (ValueError, RecursionError, TypeError, AttributeError):
        # Anybody can write there what they like; then it says nothing.
        return {}


def _as_last_applied(config: Object) -> str:
    noted = {key: text for key, text in (metadata(config).get("annotations") or {}).items() if key != LAST_APPLIED}
    whole = config | {"metadata": metadata(config) | {"annotations": noted}}
    return json.dumps(whole, separators=(",", ":")) + "\n"


def _dropped(own: Fields, wanted: Fields, others: list[Fields], way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield what an apply leaves out and nobody else manages: items with keys as a whole, else values."""
    keys = json.loads(way[-1][2:]) if way and way[-1].startswith("k:") else {}
    for step, inner in own.items():
        path, is_dropped = (*way, step), step not in wanted
        # An item that stays, since somebody else manages a part of it, keeps its keys.
        if step == "." or step[2:] in keys:
            continue
        is_leaf = step.startswith("k:") or not set(inner) - {"."}
        if is_dropped and is_leaf and not any(has(each, path) for each in others):
            yield path
        else:
            yield from _dropped(inner, wanted.get(step, {}), others, path)


def _common(one: Fields, other: Fields) -> list[tuple[str, ...]]:
    return [path for path in leaves(one) if has(other, path)]


def conflict_of_managers(conflicts: list[Conflict]) -> ApiError:
    """Return the 409 that says whose fields an apply would change."""
    by_manager: dict[str, list[str]] = {}
    for entry, path in conflicts:
        using = "" if entry["operation"] == "Apply" else f" using {entry['apiVersion']}"
        through = f' with subresource "{entry["subresource"]}"' if "subresource" in entry else ""
        by_manager.setdefault(f'"{entry["manager"]}"{through}{using}', []).append(shown(path))
    count = sum(map(len, by_manager.values()))
    many = "s" if count > 1 else ""
    if count == 1:
        text = next(f"conflict with {who}: {fields[0]}" for who, fields in by_manager.items())
    else:
        listed = (
            f"conflicts with {who}:\n" + "\n".join(f"- {f}" for f in fields) for who, fields in by_manager.items()
        )
        text = "\n".join(listed)
    causes = [
        Cause(field, "FieldManagerConflict", f"conflict with {who}")
        for who, fields in by_manager.items()
        for field in fields
    ]
    details = {"causes": [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]}
    return ApiError(409, "Conflict", f"Apply failed with {count} conflict{many}: {text}", details)


def _remove(obj: Any, path: tuple[str, ...]) -> None:
    *way, last = path
    inside = value_at(obj, tuple(way))
    if isinstance(inside, dict):
        inside.pop(last[2:], None)
    elif isinstance(inside, list) and (item := value_at(inside, (last,))) is not None:
        inside.remove(item)


def _merged(type_name: str, live: Object, config: Object) -> Object:
    """Return *live* with all of *config*: lists with keys item by item, what is there before what is new."""
    types, result = TYPES[type_name], dict(live)
    for key, value in config.items():
        known = types.get(key)
        if known is None or key not in live or known.name not in TYPES:
            result[key] = _united(type_name, key, live.get(key), value)
        elif isinstance(value, dict) and known.form == "":
            result[key] = _merged(known.name, live[key], value)
        elif isinstance(value, list) and (keys := LIST_KEYS.get((type_name, key))):
            result[key] = _merged_items(known.name, live[key], value, keys)
        else:
            result[key] = value
    return result


def _united(type_name: str, key: str, live: Any, value: Any) -> Any:
    if isinstance(live, dict) and isinstance(value, dict) and (type_name, key) not in ATOMIC_MAPS:
        return live | value
    if (type_name, key) in SETS and isinstance(live, list):
        return [*live, *(item for item in value if item not in live)]
    return value


def _merged_items(type_name: str, live: list[Any], config: list[Any], keys: tuple[str, ...]) -> list[Any]:
    named = {key_of(item, keys): item for item in live}
    for item in config:
        key = key_of(item, keys)
        named[key] = _merged(type_name, named[key], item) if key in named else item
    return [*named.values()]
