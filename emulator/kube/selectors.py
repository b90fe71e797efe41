"""Label and field selectors: text in, predicate out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from emulator.kube.errors import bad_request
from emulator.kube.objects import Object, dig, labels_of
from emulator.kube.resource import Resource, selectable

Predicate = Callable[[Object], bool]

# A comma inside parentheses belongs to a set.
REQUIREMENT = re.compile(r"(?:[^,(]|\([^)]*\)?)+")
NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
IN_SET = re.compile(rf"^({NAME})\s+(in|notin)\s+\(([^()]*)\)$")
COMPARED = re.compile(rf"^({NAME})\s*(==|=|!=|>|<)\s*([-A-Za-z0-9_.]*)$")
EXISTS = re.compile(rf"^(!?)\s*({NAME})$")
EVERYWHERE = selectable("metadata.name", "metadata.namespace")


def parse_labels(text: str) -> Callable[[Mapping[str, str]], bool]:
    """Return the predicate over labels that a label selector means."""
    tests = [_requirement(part.strip()) for part in REQUIREMENT.findall(text)]
    return lambda labels: all(test(labels) for test in tests)


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if match := IN_SET.match(text):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := COMPARED.match(text):
        return _comparison(*match.groups())
    if match := EXISTS.match(text):
        absent, key = match.groups()
        return lambda labels: (key in labels) != bool(absent)
    raise bad_request(f"unable to parse requirement: {text!r} is no requirement of a label selector")


def _comparison(key: str, operator: str, value: str) -> Callable[[Mapping[str, str]], bool]:
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator in ("=", "=="):
        return lambda labels: labels.get(key) == value
    bound = _integer(value)
    if bound is None:
        raise bad_request(f"values[0][{key}]: Invalid value: {value!r}: for 'Gt', 'Lt' operators, an integer is needed")
    above = operator == ">"

    def compare(labels: Mapping[str, str]) -> bool:
        number = _integer(labels.get(key, ""))
        return number is not None and (number > bound if above else number < bound)

    return compare


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else None


def parse_fields(resource: Resource, text: str) -> Predicate:
    """Return the predicate over objects that a field selector means for this resource."""
    tests = [_field_test(resource, part) for part in text.split(",") if part]
    return lambda obj: all(test(obj) for test in tests)


def _field_test(resource: Resource, text: str) -> Predicate:
    match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text)
    if match is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    field, operator, value = match.groups()
    fields = EVERYWHERE | resource.selectable
    if field not in fields:
        known = ", ".join(f'"{name}"' for name in fields)
        raise bad_request(f'"{field}" is not a known field selector: only {known}')
    path, default = fields[field].path, fields[field].default
    wanted = operator != "!="
    return lambda obj: (_as_text(dig(obj, *path), default) == value) == wanted


def _as_text(value: object, default: str) -> str:
    if value is None:
        return default
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse(resource: Resource, *, label_selector: str = "", field_selector: str = "") -> Predicate:
    """Return the predicate that both selectors of a list or watch mean together."""
    labels = parse_labels(label_selector)
    fields = parse_fields(resource, field_selector)
    return lambda obj: labels(labels_of(obj)) and fields(obj)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector object (matchLabels only) selects these labels."""
    wanted = selector.get("matchLabels") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
