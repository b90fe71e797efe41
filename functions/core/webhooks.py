"""Deliveries of a git host: who sent them, and what they ask for.

GitHub's rules: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries and
https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from functions.core.errors import BadRequest, BadSignature

MOST_BYTES = 5_000_000
_FULL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Prebuild:
    """Build this spec before anybody asks for it."""

    provider: str
    spec: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that asks for nothing; the reason goes back to the sender, who sees it in the list of deliveries."""

    reason: str


def check_signature(body: bytes, signature: str | None, secrets: Sequence[str]) -> None:
    """Raise BadSignature unless *signature* (X-Hub-Signature-256) is one of *secrets*' over the raw body."""
    given = (signature or "").encode()
    expected = [b"sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest().encode() for key in secrets]
    # No early end: every secret is compared, in constant time.
    if not sum(hmac.compare_digest(given, one) for one in expected):
        raise BadSignature("The delivery is not signed with a secret of this hub.")


def read_github(event: str, body: bytes, repositories: Sequence[str]) -> Prebuild | Ignored:
    """What a verified delivery asks for; *repositories* are the patterns (`gh/owner/*`) that may prebuild."""
    if event != "push":
        return Ignored(f"{event or 'nameless'} events start no build")
    try:
        payload = json.loads(body)
        ref, sha, deleted = payload["ref"], payload["after"], payload.get("deleted", False)
        full_name = payload["repository"]["full_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest("The delivery is no push event as GitHub describes it.") from error
    if not (isinstance(full_name, str) and _FULL_NAME.fullmatch(full_name)):
        raise BadRequest("The delivery names no repository.")
    if deleted or not (isinstance(sha, str) and _SHA.fullmatch(sha)):
        return Ignored("nothing was pushed that could be built")
    if not str(ref).startswith("refs/heads/"):
        return Ignored("only branches are prebuilt")
    if not any(fnmatch.fnmatchcase(f"gh/{full_name}", pattern) for pattern in repositories):
        return Ignored(f"{full_name} is not among the repositories that may prebuild here")
    return Prebuild("gh", f"{full_name}/{sha}")
