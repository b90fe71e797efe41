"""The types of the API as data (`types.txt`), and decoding by them: bytes became JSON, JSON becomes an object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("types.txt")


@dataclass(frozen=True, slots=True)
class Type:
    """What a field holds: *name* itself (`form` is empty), a list of it (`[`) or a map from text to it (`{`)."""

    name: str
    form: str = ""
    or_null: bool = False


Fields = dict[str, Type]


def parse(lines: Iterable[str]) -> dict[str, Fields]:
    """Read types: a name on a line of its own, then its fields, indented, by what they hold."""
    types: dict[str, Fields] = {}
    fields: Fields = {}
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            fields = types.setdefault(line.strip(), {})
            continue
        names, _, text = line.partition(":")
        fields |= dict.fromkeys((name.strip() for name in names.split(",")), _type(text.strip()))
    return types


def _type(text: str) -> Type:
    text, or_null, _ = text.partition(" or null")
    form = text[0] if text[0] in "[{" else ""
    return Type(text.strip("[]{}"), form, bool(or_null))


TYPES = parse(SOURCE.read_text().splitlines())
