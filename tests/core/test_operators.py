"""The operator's tokens: which are good, and what their owners are called."""

from __future__ import annotations

import hashlib

import pytest

from functions.core.config import load
from functions.core.errors import BadSignature, ConfigError
from functions.core.operators import tokens_of, who
from functions.core.settings import Secret, WebSettings
from tests.fakes.world import DOCUMENT

TOKEN, OTHER = "a" * 31 + "=", "b" * 64


def test_tokens_are_separated_by_commas() -> None:
    assert tokens_of(WebSettings(operator_tokens=Secret(f" {TOKEN}, ,{OTHER}\n"))) == [TOKEN, OTHER]
    assert tokens_of(WebSettings()) == []


@pytest.mark.parametrize("token", [TOKEN, OTHER], ids=["first", "second"])
def test_who_has_a_token_is_called_by_its_hash(token: str) -> None:
    assert who(f"Bearer {token}", [TOKEN, OTHER]) == f"token {hashlib.sha256(token.encode()).hexdigest()[:8]}"


@pytest.mark.parametrize("authorization", ["", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN},{OTHER}"])
def test_who_has_none_is_refused(authorization: str) -> None:
    for tokens in ([TOKEN, OTHER], []):
        with pytest.raises(BadSignature):
            who(authorization, tokens)


@pytest.mark.parametrize("tokens", ["short", "a" * 31, f"{TOKEN},short", "a b" * 20, "ü" * 40])
def test_a_token_that_is_easy_to_guess_or_cannot_be_sent_is_a_wrong_setting(tokens: str) -> None:
    with pytest.raises(ConfigError, match="web.operator_tokens") as refused:
        load(DOCUMENT, {"BINDERLESS_WEB__OPERATOR_TOKENS": tokens})
    assert tokens not in str(refused.value)


def test_tokens_are_not_printed() -> None:
    config, origins = load(DOCUMENT, {"BINDERLESS_WEB__OPERATOR_TOKENS": f"{TOKEN},{OTHER}"})
    assert TOKEN not in f"{config} {origins}"
