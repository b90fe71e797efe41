"""What a decoder with types insists on, for the fields that this server looks into.

A shape is a type, a dictionary of shapes by field (unknown fields pass), a list of one shape (of all items), or
`MapOf(shape)`. What passes here can be walked without asking again whether a list is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.kube.errors import bad_request


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map from any text to values of one shape."""

    items: Any


@dataclass(frozen=True, slots=True)
class OneOf:
    """A value of any of these types."""

    types: tuple[type, ...]


Shape = Any
QUANTITY = OneOf((str, int, float))
PORT = OneOf((str, int))

METADATA: Shape = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "uid": str,
    "resourceVersion": str,
    "labels": MapOf(str),
    "annotations": MapOf(str),
    "finalizers": [str],
    "ownerReferences": [{"apiVersion": str, "kind": str, "name": str, "uid": str, "controller": bool}],
}


def check(kind: str, api_version: str, value: Any, shape: Shape) -> None:
    """Raise the 400 of the decoder when *value* is not of this shape. Nulls must have been taken out."""
    problem = _problem(value, shape, "")
    if problem:
        raise bad_request(f'{kind} in version "{api_version}" cannot be handled as a {kind}: {problem}')


def _problem(value: Any, shape: Shape, path: str) -> str:
    if shape is None:
        return ""
    if isinstance(shape, dict):
        return _field_problem(value, shape, path)
    if isinstance(shape, list):
        return _item_problem(value, shape[0], path)
    if isinstance(shape, MapOf):
        if not isinstance(value, dict):
            return f"{path}: expects an object"
        return _first(_problem(item, shape.items, f"{path}.{key}") for key, item in value.items())
    allowed = shape.types if isinstance(shape, OneOf) else (shape,)
    # A bool is an int for Python, not for JSON.
    fits = isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool))
    return "" if fits else f"{path}: expects {' or '.join(t.__name__ for t in allowed)}, but found {value!r}"


def _field_problem(value: Any, shape: dict[str, Shape], path: str) -> str:
    if not isinstance(value, dict):
        return f"{path or 'the object'}: expects an object"
    present = (name for name in shape if name in value)
    return _first(_problem(value[name], shape[name], f"{path}.{name}".lstrip(".")) for name in present)


def _item_problem(value: Any, shape: Shape, path: str) -> str:
    if not isinstance(value, list):
        return f"{path}: expects an array"
    return _first(_problem(item, shape, f"{path}[{index}]") for index, item in enumerate(value))


def _first(problems: Any) -> str:
    return next((problem for problem in problems if problem), "")
