"""Build tokens: whom they are good for, and what does not pass for one."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import jwt
import pytest

from functions.core.build_tokens import Page, check, mint, token_keys
from functions.core.errors import NotAllowed
from functions.core.settings import LaunchSettings, Secret

KEYS = [b"k" * 32, b"o" * 32]
PAGE = Page(provider="gh", raw_spec="owner/plots/HEAD/", origin="binder.example.org:8585")
NOW = 1_767_268_800.5


def token(**changes: object) -> str:
    claims = {"exp": NOW + 300, "aud": PAGE.audience, "origin": PAGE.origin, **changes}
    return jwt.encode(claims, KEYS[0], algorithm="HS256")


def test_a_token_opens_its_own_page() -> None:
    check(mint(PAGE, KEYS, now=NOW, expires_s=300), PAGE, KEYS, now=NOW + 299)


def test_a_token_is_what_binderhub_makes() -> None:
    made = mint(PAGE, KEYS, now=NOW, expires_s=300)
    assert jwt.get_unverified_header(made) == {"alg": "HS256", "typ": "JWT"}
    assert jwt.decode(made, options={"verify_signature": False}) == {
        "exp": 1_767_269_100,
        "aud": "gh/owner/plots/HEAD/",
        "origin": "binder.example.org:8585",
    }


def test_a_token_of_the_key_before_the_last_is_still_good() -> None:
    check(mint(PAGE, KEYS[1:], now=NOW, expires_s=300), PAGE, KEYS, now=NOW)


def forged(header: dict[str, str]) -> str:
    """A token with *header*, and no signature."""
    claims = {"exp": NOW + 300, "aud": PAGE.audience, "origin": PAGE.origin}
    parts = [json.dumps(part).encode() for part in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


REFUSED = {
    "nonsense": "nonsense",
    "nothing but dots": "..",
    "endless": "a" * 10_000,
    "not ASCII": "ü.ü.ü",
    "expired": token(exp=NOW - 1),
    "expires never": token(exp=None),
    "expires in words": token(exp="tomorrow"),
    "without an end": jwt.encode({"aud": PAGE.audience, "origin": PAGE.origin}, KEYS[0], algorithm="HS256"),
    "another page": token(aud="gh/owner/plots/HEAD"),
    "no page": token(aud=None),
    "another site": token(origin="evil.example.org"),
    "no site": token(origin=None),
    "another key": jwt.encode({"exp": NOW + 9, "aud": PAGE.audience, "origin": PAGE.origin}, b"x" * 32),
    "no signature": forged({"alg": "none", "typ": "JWT"}),
    "an empty signature": forged({"alg": "HS256", "typ": "JWT"}),
    "another algorithm": jwt.encode({"exp": NOW + 9, "aud": PAGE.audience}, KEYS[0] * 2, algorithm="HS512"),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(NotAllowed, match="Invalid build token"):
        check(text, PAGE, KEYS, now=NOW)


def test_the_site_may_be_left_out_of_account() -> None:
    check(token(origin="other.example.org"), PAGE, KEYS, now=NOW, check_origin=False)


def test_a_token_without_trailing_slash_is_for_another_page() -> None:
    with pytest.raises(NotAllowed):
        check(token(), replace(PAGE, raw_spec="owner/plots/HEAD"), KEYS, now=NOW)


def test_keys_are_read_as_binderhub_reads_them() -> None:
    settings = LaunchSettings(secret=Secret("s" * 32), token_secrets=Secret(f"{'0a' * 32}, {'text-' * 8}"))
    assert list(token_keys(settings)) == [b"\n" * 32, b"text-" * 8]


def test_every_instance_makes_the_same_key_from_the_secret() -> None:
    one, other = (token_keys(LaunchSettings(secret=Secret(text * 32))) for text in "st")
    assert one == token_keys(LaunchSettings(secret=Secret("s" * 32)))
    assert one != other
    assert b"s" * 32 not in one
