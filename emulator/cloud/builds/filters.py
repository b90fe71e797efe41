"""The filter of a list of builds: comparisons joined by AND, each true or false of one build. Pure.

https://cloud.google.com/build/docs/view-build-results#filtering_build_results_using_queries
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from emulator.cloud.builds.errors import invalid
from emulator.cloud.builds.messages import Build, seconds_of

Predicate = Callable[[Build], bool]

MAX_LENGTH = 10_000
_WORD = re.compile(
    r'\s*(?:(?P<name>[A-Za-z_][\w.]*)\s*(?P<operator>!=|>=|<=|=|>|<)\s*(?:"(?P<text>[^"]*)"|(?P<bare>[\w.:/@+-]+))'
    r"|(?P<and>AND)\b)"
)
_TEXTS: Mapping[str, Callable[[Build], list[str]]] = {
    "status": lambda build: [build["status"]],
    "tags": lambda build: build.get("tags", []),
    "images": lambda build: build.get("images", []),
    "build_id": lambda build: [build["id"]],
    "id": lambda build: [build["id"]],
    "service_account": lambda build: [build.get("serviceAccount", "")],
    "results.images.name": lambda build: [each["name"] for each in build.get("results", {}).get("images", ())],
    "results.images.digest": lambda build: [each["digest"] for each in build.get("results", {}).get("images", ())],
}
_TIMES = {"create_time": "createTime", "start_time": "startTime", "finish_time": "finishTime"}
_ALIASES = {"createTime": "create_time", "startTime": "start_time", "finishTime": "finish_time", "buildId": "build_id"}
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def parse(text: str) -> Predicate:
    """The filter's meaning; empty means every build. Raises ApiError for a filter that the emulator cannot apply."""
    if len(text) > MAX_LENGTH:
        raise invalid("invalid list filter: it is too long")
    conditions: list[Predicate] = []
    joined = True
    position = 0
    while text[position:].strip():
        match = _WORD.match(text, position)
        # Two comparisons beside each other are joined by AND as well: https://google.aip.dev/160
        if match is None or (match["and"] and joined):
            raise invalid(f"invalid list filter: unexpected {text[position:].strip()[:50]!r}")
        joined = bool(match["and"])
        if not match["and"]:
            conditions.append(_condition(match))
        position = match.end()
    if joined and conditions:
        raise invalid("invalid list filter: nothing after AND")
    return lambda build: all(condition(build) for condition in conditions)


def _condition(match: re.Match[str]) -> Predicate:
    name = _ALIASES.get(match["name"], match["name"])
    wanted = match["text"] if match["text"] is not None else match["bare"]
    operator = match["operator"]
    if name in _TIMES:
        return _time(_TIMES[name], operator, wanted)
    if name not in _TEXTS or operator not in ("=", "!="):
        raise invalid(f"invalid list filter: {match[0].strip()[:100]!r} is not supported")
    values = _TEXTS[name]
    return lambda build: (wanted in values(build)) == (operator == "=")


def _time(field: str, operator: str, wanted: str) -> Predicate:
    try:
        limit = seconds_of(wanted)
    except ValueError as error:
        raise invalid(f"invalid list filter: {wanted[:50]!r} is not a time") from error
    compare = _ORDER[operator]

    def holds(build: dict[str, Any]) -> bool:
        return field in build and compare(seconds_of(build[field]), limit)

    return holds
