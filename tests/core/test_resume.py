"""The key by which a browser finds its launch again."""

from __future__ import annotations

import pytest

from functions.core.resume import resume_key, valid_browser

ONE = "0" * 32


def test_the_same_browser_and_link_have_the_same_key() -> None:
    assert resume_key("s", ONE, "gh", "a/b/c") == resume_key("s", ONE, "gh", "a/b/c")


@pytest.mark.parametrize(
    "other", [("t", ONE, "gh", "a/b"), ("s", "1" * 32, "gh", "a/b"), ("s", ONE, "git", "a/b"), ("s", ONE, "gha", "/b")]
)
def test_anything_else_has_another_key(other: tuple[str, str, str, str]) -> None:
    assert resume_key("s", ONE, "gh", "a/b") != resume_key(*other)


@pytest.mark.parametrize("text", [None, "", "short", "x" * 33, "0" * 31 + "\n", "ü" * 32])
def test_what_we_never_gave_is_no_browser(text: str | None) -> None:
    assert not valid_browser(text)


def test_what_we_gave_is_a_browser() -> None:
    assert valid_browser(ONE)
