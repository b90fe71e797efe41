"""Deliveries of GitHub: signed or refused, understood or ignored with a reason."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from functions.core.errors import BadRequest, BadSignature
from functions.core.webhooks import Ignored, Prebuild, check_signature, read_github

SHA = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
PUSH: dict[str, Any] = {"ref": "refs/heads/main", "after": SHA, "repository": {"full_name": "Codertocat/Hello-World"}}
MINE = ["gh/Codertocat/*"]


def signed(body: bytes, secret: str = "one") -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def read(payload: object, event: str = "push", repositories: list[str] = MINE) -> Prebuild | Ignored:
    return read_github(event, json.dumps(payload).encode(), repositories)


def test_githubs_documented_signature_is_accepted() -> None:
    # The example of "Validating webhook deliveries" in GitHub's documentation.
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    check_signature(b"Hello, World!", given, ["It's a Secret to Everybody"])


def test_an_old_and_a_new_secret_are_both_good() -> None:
    check_signature(b"{}", signed(b"{}", "two"), ["one", "two"])


@pytest.mark.parametrize(
    "given", [None, "", "sha256=", signed(b"other"), signed(b"{}", "guess"), "sha1=abc", "sha256=é"]
)
def test_anything_else_is_refused(given: str | None) -> None:
    with pytest.raises(BadSignature):
        check_signature(b"{}", given, ["one"])


def test_without_secrets_nothing_is_accepted() -> None:
    with pytest.raises(BadSignature):
        check_signature(b"{}", signed(b"{}", ""), [])


def test_a_push_to_a_branch_is_prebuilt_at_its_commit() -> None:
    assert read(PUSH) == Prebuild("gh", f"Codertocat/Hello-World/{SHA}")


@pytest.mark.parametrize(
    ("payload", "event", "repositories"),
    [
        (PUSH, "ping", MINE),
        (PUSH, "", MINE),
        ({**PUSH, "deleted": True, "after": "0" * 40}, "push", MINE),
        ({**PUSH, "ref": "refs/tags/v1"}, "push", MINE),
        ({**PUSH, "after": "main"}, "push", MINE),
        (PUSH, "push", []),
        (PUSH, "push", ["gh/codertocat-evil/*"]),
    ],
    ids=["ping", "no event", "deleted", "tag", "no sha", "nobody may", "another may"],
)
def test_what_starts_no_build_is_ignored(payload: object, event: str, repositories: list[str]) -> None:
    assert isinstance(read(payload, event, repositories), Ignored)


@pytest.mark.parametrize(
    "payload", [[], {}, {**PUSH, "repository": None}, {**PUSH, "repository": {"full_name": "../../etc"}}, "x"]
)
def test_a_delivery_that_makes_no_sense_is_refused(payload: object) -> None:
    with pytest.raises(BadRequest):
        read(payload)
