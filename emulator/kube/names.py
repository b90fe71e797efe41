"""The rules for names, labels and other small texts, with the words of Kubernetes for breaking them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from emulator.kube.errors import Cause, invalid


@dataclass(frozen=True, slots=True)
class Rule:
    """A regular expression, a longest length, and what is said of a text that does not match."""

    pattern: re.Pattern[str]
    longest: int
    text: str

    def problems(self, value: str) -> list[str]:
        """Return what is wrong with *value*, the length first."""
        found = []
        if len(value) > self.longest:
            found.append(f"must be no more than {self.longest} characters")
        if not self.pattern.fullmatch(value):
            found.append(self.text)
        return found


def _rule(pattern: str, longest: int, text: str, *examples: str) -> Rule:
    listed = ",  or ".join(f"'{example}'" for example in examples)
    return Rule(re.compile(pattern), longest, f"{text} (e.g. {listed}, regex used for validation is '{pattern}')")


LABEL_PATTERN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
QUALIFIED_PATTERN = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
ALPHANUMERIC = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"

LABEL = _rule(
    LABEL_PATTERN,
    63,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    "my-name",
    "123-abc",
)
SUBDOMAIN = _rule(
    rf"{LABEL_PATTERN}(\.{LABEL_PATTERN})*",
    253,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    "example.com",
)
SERVICE = _rule(
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    63,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character",
    "my-name",
    "abc-123",
)
LABEL_VALUE = _rule(
    "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
    63,
    f"a valid label must be an empty string or consist of {ALPHANUMERIC}",
    "MyValue",
    "my_value",
    "12345",
)
NAME_PART = _rule(QUALIFIED_PATTERN, 63, f"name part must consist of {ALPHANUMERIC}", "MyName", "my.name", "123-abc")
ENVIRONMENT = _rule(
    "[-._a-zA-Z][-._a-zA-Z0-9]*",
    10_000,
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', "
    "and must not start with a digit",
    "my.env-name",
    "MY_ENV.NAME",
    "MyEnvName1",
)
DATA_KEY = _rule(
    "[-._a-zA-Z0-9]+",
    253,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "key.name",
    "KEY_NAME",
    "key-name",
)
TOO_MANY_PARTS = (
    f"a qualified name must consist of {ALPHANUMERIC} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    f"validation is '{QUALIFIED_PATTERN}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)

PATH_SEGMENT = _rule("[^/%]+", 10_000, "must be a valid path segment name", "my-name")

NAME_RULES = {"subdomain": SUBDOMAIN, "label": LABEL, "service": SERVICE, "path": PATH_SEGMENT}


def key_problems(key: str) -> list[str]:
    """Return what is wrong with the key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [TOO_MANY_PARTS]
    problems = [f"prefix part {text}" for text in SUBDOMAIN.problems(prefix)] if slash else []
    return problems + NAME_PART.problems(name)


def label_causes(labels: Mapping[str, str], field: str) -> Iterator[Cause]:
    """Yield what is wrong with labels."""
    for key, value in labels.items():
        yield from (invalid(field, key, text) for text in key_problems(key))
        yield from (invalid(field, value, text) for text in LABEL_VALUE.problems(value))


def annotation_causes(annotations: Mapping[str, str], field: str) -> Iterator[Cause]:
    """Yield what is wrong with annotations, whose values may be any text."""
    for key in annotations:
        yield from (invalid(field, key, text) for text in key_problems(key.lower()))
