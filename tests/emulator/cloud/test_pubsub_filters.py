"""The filter language, expression by expression."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cloud.pubsub.filters import InvalidFilter, parse

MATCHES = [
    ("", {}),
    ("attributes:status", {"status": ""}),
    ('attributes.status = "SUCCESS"', {"status": "SUCCESS"}),
    ('attributes.status != "QUEUED"', {"status": "SUCCESS"}),
    ('attributes.status != "QUEUED"', {}),
    ('attributes.status != "QUEUED" AND attributes.status != "WORKING"', {"status": "SUCCESS"}),
    ('attributes.a = "1" OR attributes.b = "2"', {"b": "2"}),
    ('(attributes.a = "1" OR attributes.b = "2") AND attributes:c', {"a": "1", "c": ""}),
    ("NOT attributes:a", {}),
    ("-attributes:a", {}),
    ("NOT (attributes:a AND attributes:b)", {"a": ""}),
    ('hasPrefix(attributes.repo, "gh/")', {"repo": "gh/a/b"}),
    ('attributes:"iana.org/language"', {"iana.org/language": "en"}),
    ('attributes."a b" = "say \\"hi\\" \\u00e4"', {"a b": 'say "hi" \u00e4'}),
    ('  attributes.a="AND"  ', {"a": "AND"}),
    ('attributes.a-b_c = "1"', {"a-b_c": "1"}),
]
MISSES = [
    ("attributes:status", {}),
    ('attributes.status = "SUCCESS"', {"status": "success"}),
    ('attributes.status != "QUEUED"', {"status": "QUEUED"}),
    ('attributes.status != "QUEUED" AND attributes.status != "WORKING"', {"status": "WORKING"}),
    ('hasPrefix(attributes.repo, "")', {}),
    ("NOT attributes:a", {"a": ""}),
]
WRONG = [
    "attributes",
    "attributes.a",
    "attributes.a =",
    "attributes.a = 1",
    'attributes.a == "1"',
    'attributes.a = "1" and attributes:b',
    "attributes:a AND attributes:b OR attributes:c",
    "(attributes:a",
    "attributes:a)",
    "attributes:a attributes:b",
    'data = "x"',
    'attributes.a = "open',
    "hasPrefix(attributes.a, b)",
    "NOT",
    "attributes:a;",
    'attributes.a = "' + "x" * 256 + '"',
]


@pytest.mark.parametrize(("text", "attributes"), MATCHES)
def test_it_lets_through(text: str, attributes: dict[str, str]) -> None:
    assert parse(text)(attributes) is True


@pytest.mark.parametrize(("text", "attributes"), MISSES)
def test_it_holds_back(text: str, attributes: dict[str, str]) -> None:
    assert parse(text)(attributes) is False


@pytest.mark.parametrize("text", WRONG)
def test_it_is_no_filter(text: str) -> None:
    with pytest.raises(InvalidFilter):
        parse(text)


@given(st.lists(st.sampled_from(["attributes", ":", ".", "a", '"b"', "=", "!=", "NOT", "AND", "OR", "(", ")", "-"])))
def test_any_text_is_a_filter_or_a_clear_refusal(words: list[str]) -> None:
    try:
        parse(" ".join(words))({"a": "b"})
    except InvalidFilter as error:
        assert str(error)
