"""Label selectors as text: `app=x,tier in (a, b),!old`. Errors are in the words of Kubernetes' parser."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from emulator.kube.errors import ApiError, bad_request
from emulator.kube.names import LABEL_VALUE, key_problems

Test = Callable[[Mapping[str, str]], bool]
TOKEN = re.compile(r"\s*(?:(==|!=|[=!<>(),])|([^\s=!<>(),]+))")
COMPARING = ("=", "==", "!=", "<", ">")


def parse(text: str) -> Test:
    """Return the predicate over labels that a selector means. Raises the 400 of what is none."""
    tests = _Parser(_tokens(text)).requirements()
    return lambda labels: all(test(labels) for test in tests)


def _tokens(text: str) -> list[str]:
    text = text.rstrip()
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None
        found.append(match[1] or match[2])
        at = match.end()
    return found


def _refuse(why: str) -> ApiError:
    return bad_request(f"unable to parse requirement: {why}")


@dataclass(slots=True)
class _Parser:
    """Takes tokens one after the other; the empty text stands for the end."""

    tokens: list[str]
    at: int = field(default=0)

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def requirements(self) -> list[Test]:
        tests: list[Test] = []
        while self.peek():
            tests.append(self._requirement())
            token = self.next()
            if token not in ("", ","):
                raise _refuse(f"found '{token}', expected: ',' or 'end of string'")
            if token == "," and not _is_word(self.peek()) and self.peek() != "!":
                raise _refuse(f"found '{self.peek()}', expected: identifier after ','")
        return tests

    def _requirement(self) -> Test:
        absent = self.peek() == "!"
        if absent:
            self.next()
        key = self.next()
        if not _is_word(key):
            raise _refuse(f"found '{key}', expected: identifier")
        for problem in key_problems(key):
            raise _refuse(f'key: Invalid value: "{key}": {problem}')
        if absent or self.peek() in ("", ","):
            return lambda labels: (key in labels) != absent
        operator = self.next()
        if operator in ("in", "notin"):
            values = self._values()
            return lambda labels: (labels.get(key) in values) == (operator == "in")
        if operator not in COMPARING:
            listed = "in, notin, =, ==, !=, gt, lt"
            raise _refuse(f"found '{operator}', expected: {listed}")
        return _comparison(key, operator, self._value())

    def _value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.next()
        if not _is_word(token):
            raise _refuse(f"found '{token}', expected: identifier")
        return _checked(token)

    def _values(self) -> set[str]:
        token = self.next()
        if token != "(":
            raise _refuse(f"found '{token}' expected: '('")
        values: set[str] = set()
        while True:
            token = self.next()
            if _is_word(token):
                values.add(_checked(token))
                token = self.next()
            else:
                values.add("")
            if token == ")":
                return values
            if token != ",":
                raise _refuse(f"found '{token}', expected: ',' or ')'")


def _is_word(token: str) -> bool:
    return bool(token) and token not in (*COMPARING, "!", "(", ")", ",")


def _checked(value: str) -> str:
    for problem in LABEL_VALUE.problems(value):
        raise _refuse(f'values[0][...]: Invalid value: "{value}": {problem}')
    return value


def _comparison(key: str, operator: str, value: str) -> Test:
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator in ("=", "=="):
        return lambda labels: labels.get(key) == value
    bound = _integer(value)
    if bound is None:
        raise _refuse(
            f"values[0][{key}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
        )
    above = operator == ">"

    def compare(labels: Mapping[str, str]) -> bool:
        number = _integer(labels.get(key, ""))
        return number is not None and (number > bound if above else number < bound)

    return compare


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else None
