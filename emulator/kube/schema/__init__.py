"""The types of the API as data (`types.txt`), and decoding by them: bytes became JSON, JSON becomes an object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("types.txt")


@dataclass(frozen=True, slots=True)
class Type:
    """What a field holds: *name* itself (`form` is empty), a list of it (`[`) or a map from text to it (`{`).

    `number` is where it is in protobuf; empty where it is not there.
    """

    name: str
    form: str = ""
    or_null: bool = False
    number: tuple[int, ...] = ()


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
        for each in names.split(","):
            name, _, number = each.strip().partition("=")
            fields[name] = _type(text.strip(), tuple(map(int, filter(None, number.split(".")))))
    return types


def _type(text: str, number: tuple[int, ...]) -> Type:
    text, or_null, _ = text.partition(" or null")
    form = text[0] if text[0] in "[{" else ""
    return Type(text.strip("[]{}"), form, bool(or_null), number)


TYPES = parse(SOURCE.read_text().splitlines())
