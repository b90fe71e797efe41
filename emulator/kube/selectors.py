"""Label and field selectors: text in, predicate out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from emulator.kube import label_selectors
from emulator.kube.errors import bad_request
from emulator.kube.objects import Object, dig, labels_of
from emulator.kube.resource import Resource, selectable

Predicate = Callable[[Object], bool]

_REQUIREMENT = re.compile("([^=!]+)(==|=|!=)(.*)")
EVERYWHERE = selectable("metadata.name", "metadata.namespace")


def parse_fields(resource: Resource, text: str) -> Predicate:
    """Return the predicate over objects that a field selector means for this resource."""
    tests = [_field_test(resource, part) for part in text.split(",") if part]
    return lambda obj: all(test(obj) for test in tests)


def exact_name(text: str) -> str:
    """Return the name that a field selector asks for; empty where it does not ask for one."""
    matches = (_REQUIREMENT.fullmatch(part) for part in text.split(","))
    return next((m[3] for m in matches if m and m[1] == "metadata.name" and m[2] != "!="), "")


def _field_test(resource: Resource, text: str) -> Predicate:
    match = _REQUIREMENT.fullmatch(text)
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
    labels = label_selectors.parse(label_selector)
    fields = parse_fields(resource, field_selector)
    return lambda obj: labels(labels_of(obj)) and fields(obj)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector object selects these labels; an empty one selects nothing."""
    wanted, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not wanted and not expressions:
        return False
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _expression_fits(each, labels) for each in expressions
    )


def _expression_fits(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key"), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(str(key)) in values
        case "NotIn":
            return labels.get(str(key)) not in values
        case "Exists":
            return key in labels
    return key not in labels
