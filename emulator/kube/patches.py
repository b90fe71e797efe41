"""The patch types: JSON merge patch (RFC 7396), JSON patch (RFC 6902), strategic merge patch. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from emulator.kube.errors import bad_request, server_error, unprocessable
from emulator.kube.objects import Object, clone

# The patchMergeKey of Kubernetes' types, by kind where a field's name is not enough. Lists not here are replaced.
MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "conditions": "type",
    "ownerReferences": "uid",
    "addresses": "type",
    "podIPs": "ip",
    "secrets": "name",
    "ports": "containerPort",
}
MERGE_KEYS_OF_KIND = {
    ("Service", "ports"): "port",
    # These carry no patch tags.
    ("ServiceAccount", "imagePullSecrets"): "",
    ("Endpoints", "addresses"): "",
    ("Endpoints", "ports"): "",
}
MERGED_SETS = ("finalizers",)
# A few copies of copies would fill the memory.
LARGEST_COPY = 1024 * 1024


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Object, operations: Any) -> Object:
    """Apply a JSON patch: a list of operations, all or none."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document = clone(target)
    copied = 0
    try:
        for operation in operations:
            copied += _operate(document, operation)
            if copied > LARGEST_COPY:
                raise ValueError("copies of copies")
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise unprocessable() from error
    return document  # type: ignore[no-any-return]


def _operate(document: Any, operation: Any) -> int:
    """Do one operation; return how much it copied."""
    kind, path = operation["op"], _pointer(operation["path"])
    if kind in ("add", "replace"):
        _set(document, path, clone(operation["value"]), replacing=kind == "replace")
    elif kind == "remove":
        _take(document, path)
    elif kind == "test":
        if _look(document, path) != operation["value"]:
            raise ValueError("test failed")
    elif kind == "copy":
        value = _look(document, _pointer(operation["from"]))
        _set(document, path, clone(value))
        return len(json.dumps(value))
    elif kind == "move":
        _set(document, path, _take(document, _pointer(operation["from"])))
    else:
        raise ValueError(kind)
    return 0


def _pointer(text: str) -> list[str]:
    if not text.startswith("/"):
        raise ValueError("the whole document cannot be meant")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _index(container: list[Any], step: str) -> int:
    if not step.isdecimal() or int(step) > len(container):
        raise IndexError(step)
    return int(step)


def _look(document: Any, path: list[str]) -> Any:
    for step in path:
        document = document[_index(document, step)] if isinstance(document, list) else document[step]
    return document


def _set(document: Any, path: list[str], value: Any, *, replacing: bool = False) -> None:
    container, last = _look(document, path[:-1]), path[-1]
    if replacing:
        _look(container, [last])
    if not isinstance(container, list):
        container[last] = value
    elif replacing:
        container[_index(container, last)] = value
    else:
        container.insert(len(container) if last == "-" else _index(container, last), value)


def _take(document: Any, path: list[str]) -> Any:
    container, last = _look(document, path[:-1]), path[-1]
    return container.pop(_index(container, last) if isinstance(container, list) else last)


def strategic_patch(target: Object, patch: Any) -> Object:
    """Apply a strategic merge patch: like a merge patch, but lists of named things merge item by item."""
    if not isinstance(patch, dict):
        raise server_error("a strategic merge patch is an object")
    try:
        return _strategic(str(target.get("kind", "")), target, patch)
    except (TypeError, AttributeError) as error:
        # A directive or a merge key of the wrong form.
        raise unprocessable() from error


def _strategic(kind: str, target: Any, patch: Object) -> Object:
    rest = {key: value for key, value in patch.items() if not key.startswith("$")}
    if patch.get("$patch") == "replace":
        return without_directives(rest)  # type: ignore[no-any-return]
    if patch.get("$patch") == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    if isinstance(kept := patch.get("$retainKeys"), list):
        result = {key: value for key, value in result.items() if key in kept}
    for directive, values in patch.items():
        _drop_primitives(result, directive, values)
    for key, value in rest.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _strategic_value(kind, key, result.get(key), value, patch)
    return result


def _drop_primitives(result: Object, directive: str, values: Any) -> None:
    field = directive.removeprefix("$deleteFromPrimitiveList/")
    if field != directive and isinstance(result.get(field), list):
        result[field] = [item for item in result[field] if item not in values]


def _strategic_value(kind: str, field: str, old: Any, new: Any, patch: Object) -> Any:
    if isinstance(new, dict):
        return _strategic(kind, old, new)
    if not isinstance(new, list):
        return new
    if field in MERGED_SETS:
        return [*(old or []), *(item for item in new if item not in (old or []))]
    merge_key = MERGE_KEYS_OF_KIND.get((kind, field), MERGE_KEYS.get(field, ""))
    if not merge_key:
        return clone(new)
    order = patch.get(f"$setElementOrder/{field}")
    return _merge_lists(kind, old if isinstance(old, list) else [], new, merge_key=merge_key, order=order)


def _merge_lists(kind: str, old: list[Any], new: list[Any], *, merge_key: str, order: Any) -> list[Any]:
    if not all(isinstance(item, dict) for item in (*old, *new)):
        raise server_error(f"a list merged by {merge_key} holds objects only")
    plain = [item for item in new if "$patch" not in item]
    if any(item.get("$patch") == "replace" for item in new):
        return without_directives(plain)  # type: ignore[no-any-return]
    dropped = [item.get(merge_key) for item in new if item.get("$patch") == "delete"]
    merged = {item.get(merge_key): item for item in old if item.get(merge_key) not in dropped}
    for item in plain:
        if merge_key not in item:
            # As Go prints a map.
            shown = " ".join(f"{key}:{value}" for key, value in sorted(item.items()))
            raise server_error(f"map: map[{shown}] does not contain declared merge key: {merge_key}")
        merged[item[merge_key]] = _strategic(kind, merged.get(item[merge_key]), item)
    asked = [item.get(merge_key) if isinstance(item, dict) else item for item in order or plain]
    return [merged[key] for key in _in_order(list(merged), asked, [item.get(merge_key) for item in old])]


def _in_order(keys: list[Any], asked: list[Any], before: list[Any]) -> list[Any]:
    """Order keys as the patch asks, with the others where they were; what is new goes first (as in apimachinery)."""
    left = [key for key in asked if key in keys]
    right = [key for key in keys if key not in left]
    result: list[Any] = []
    while left and right:
        known = left[0] in before and right[0] in before
        takes_left = not known or before.index(left[0]) < before.index(right[0])
        result.append((left if takes_left else right).pop(0))
    return result + left + right


def without_directives(value: Any) -> Any:
    """Return a copy without the `$...` keys that steer a strategic merge."""
    if isinstance(value, dict):
        return {key: without_directives(item) for key, item in value.items() if not key.startswith("$")}
    if isinstance(value, list):
        return [without_directives(item) for item in value]
    return value


PATCH_TYPES: dict[str, Callable[[Object, Any], Any]] = {
    "application/merge-patch+json": merge_patch,
    "application/json-patch+json": json_patch,
    "application/strategic-merge-patch+json": strategic_patch,
}
