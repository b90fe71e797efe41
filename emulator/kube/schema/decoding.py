"""Decoding by types: values must be of the form of their field, fields that are not known are dropped, nulls too."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from emulator.kube.objects import Object, clone, moment_of
from emulator.kube.quantities import WHAT_IT_IS, quantity
from emulator.kube.schema import TYPES, Type

# What Python may have for the plain types. A bool is an int for Python, not for JSON.
PLAIN: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "time": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "quantity": (str, int, float),
    "port": (str, int),
    "bytes": (str,),
}
LONGEST_SHOWN = 100
ZERO = {"string": "", "quantity": "0", "bytes": ""}
META = ("kind", "apiVersion", "metadata.selfLink")
# A list or map without items, which Go does not write.
EMPTY = object()


class WrongForm(Exception):
    """A value that is not of its field's type, as a text with the field's path."""


@dataclass(slots=True)
class Decoder:
    """Decodes one object; `unknown` collects the paths of the fields that were dropped."""

    unknown: list[str] = field(default_factory=list)

    def struct(self, name: str, value: Any, path: str = "") -> Object:
        """Return *value* as the type *name*, a copy. Raises WrongForm."""
        if not isinstance(value, dict):
            raise WrongForm(f"{path or name}: expects an object, but found {_shown(value)}")
        fields = TYPES[name]
        result: Object = {}
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if key not in fields:
                self._drop(key, item, where)
            elif item is not None and (decoded := self._value(fields[key], item, where)) is not EMPTY:
                result[key] = decoded
        for key, known in fields.items():
            if known.or_null:
                result.setdefault(key, None)
        return result

    def _drop(self, key: str, item: Any, where: str) -> None:
        if item is not None and where not in META:
            self.unknown.append(where)

    def _value(self, known: Type, value: Any, path: str) -> Any:
        if known.form == "[":
            if not isinstance(value, list):
                raise WrongForm(f"{path}: expects an array, but found {_shown(value)}")
            return [self._one(known.name, item, f"{path}[{index}]") for index, item in enumerate(value)] or EMPTY
        if known.form == "{":
            if not isinstance(value, dict):
                raise WrongForm(f"{path}: expects an object, but found {_shown(value)}")
            return {key: self._one(known.name, item, f"{path}.{key}") for key, item in value.items()} or EMPTY
        return self._one(known.name, value, path)

    def _one(self, name: str, value: Any, path: str) -> Any:
        if name in TYPES:
            return self.struct(name, {} if value is None else value, path)
        if name not in PLAIN:
            return clone(value)
        if value is None:
            return ZERO.get(name, 0)
        allowed = PLAIN[name]
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise WrongForm(f"{path}: expects {name}, but found {_shown(value)}")
        if problem := _problem(name, value):
            raise WrongForm(f"{path}: {problem}")
        return value


def _problem(name: str, value: Any) -> str:
    """Say what is wrong with the text of a value whose type is right."""
    if name == "bytes" and not _is_base64(str(value)):
        return "illegal base64 data"
    if name == "quantity" and quantity(value) is None:
        return WHAT_IT_IS
    if name == "time" and moment_of(value) is None:
        return f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00"'
    return ""


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return "an array" if isinstance(value, list) else "an object"
    return f'"{value[:LONGEST_SHOWN]}"' if isinstance(value, str) else str(value)
