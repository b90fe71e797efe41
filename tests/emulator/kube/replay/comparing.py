"""Recorded and actual answers, field by field.

A placeholder of the recording (`<time>`, `<uid:1>`) stands for a value; equal placeholders with a number stand for
equal values within a case, different ones for different values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
PLACEHOLDERS = {
    "uid": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "rv": r"\d+",
    "gen": "[a-z0-9]{5}",
    "time": TIME + "Z",
    "microtime": TIME + r"\.\d{6,9}Z",
    "ip": r"\d+\.\d+\.\d+\.\d+",
    "age": r"\d+[smhd](?:\d+[smh])?",
    "podIP": r"\d+\.\d+\.\d+\.\d+",
    "hostIP": r"\d+\.\d+\.\d+\.\d+",
    "clusterIP": r"\d+\.\d+\.\d+\.\d+",
    "nodePort": r"\d+",
    "node": r"[-a-z0-9.]+",
    "containerID": r"\w+://[0-9a-f]+",
    "imageID": r"\S+",
    "continue": r"\S+",
    "pem": r"[\s\S]*",
    "hex": "[0-9a-f]+",
    "value": r"[\s\S]*?",
    "difference": r"[\s\S]*?",
}
PLACEHOLDER = re.compile("<(" + "|".join(PLACEHOLDERS) + r")(?::(\d+))?>")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field that differs. `absent` stands for a value that is not there."""

    path: str
    recorded: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.path}: recorded {self.recorded!r}, actual {self.actual!r}"


class Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


@dataclass(slots=True)
class Comparison:
    """What the placeholders of one case have come to mean."""

    values: dict[str, str]
    met: dict[str, str] = field(default_factory=dict)

    def mismatches(self, recorded: Any, actual: Any, path: str = "") -> list[Mismatch]:
        """Return every field that differs."""
        if isinstance(recorded, dict) and isinstance(actual, dict):
            keys = [*recorded, *(key for key in actual if key not in recorded)]
            pairs = ((f"{path}.{key}", recorded.get(key, ABSENT), actual.get(key, ABSENT)) for key in keys)
            return [found for where, one, other in pairs for found in self.mismatches(one, other, where)]
        if isinstance(recorded, list) and isinstance(actual, list):
            longest = max(len(recorded), len(actual))
            both = (_padded(recorded, longest), _padded(actual, longest))
            triples = ((f"{path}[{index}]", *pair) for index, pair in enumerate(zip(*both, strict=True)))
            return [found for where, one, other in triples for found in self.mismatches(one, other, where)]
        if self._same(recorded, actual):
            return []
        return [Mismatch(path, recorded, actual)]

    def _same(self, recorded: Any, actual: Any) -> bool:
        if not isinstance(recorded, str):
            return type(recorded) is type(actual) and bool(recorded == actual)
        if isinstance(actual, (dict, list, Absent)) or actual is None:
            return False
        for name, value in self.values.items():
            recorded = recorded.replace("{" + name + "}", value)
        return self._fits(recorded, str(actual))

    def _fits(self, recorded: str, actual: str) -> bool:
        pattern, keys, end = "", [], 0
        for match in PLACEHOLDER.finditer(recorded):
            pattern += re.escape(recorded[end : match.start()]) + f"({PLACEHOLDERS[match[1]]})"
            keys.append(f"{match[1]}:{match[2]}" if match[2] else "")
            end = match.end()
        found = re.fullmatch(pattern + re.escape(recorded[end:]), actual)
        return bool(found) and self._consistent(zip(keys, found.groups() if found else (), strict=True))

    def _consistent(self, pairs: Any) -> bool:
        for key, value in pairs:
            known = self.met.get(key)
            kind = key.partition(":")[0]
            taken = any(v == value and k != key for k, v in self.met.items() if k.partition(":")[0] == kind)
            if key and (taken if known is None else known != value):
                return False
            if key:
                self.met[key] = value
        return True


def _padded(items: list[Any], length: int) -> list[Any]:
    return [*items, *[ABSENT] * (length - len(items))]
