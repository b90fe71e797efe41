"""Identity tokens, judged by google-auth; its request object is fed from the certificates of the process itself."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.auth import exceptions
from google.oauth2 import id_token

from emulator.cloud.identity import Identity

EMAIL, AUDIENCE = "scheduler@p1.iam.gserviceaccount.com", "https://functions.example/cull"


def certificates_of(identity: Identity) -> Any:
    """google-auth's transport, answering with the certificates of *identity*."""
    body = json.dumps(identity.certificates()).encode()
    return lambda *_args, **_kwargs: SimpleNamespace(status=200, data=body, headers={})


def verified(token: str, identity: Identity, audience: str = AUDIENCE) -> Any:
    return id_token.verify_token(token, certificates_of(identity), audience=audience, certs_url="http://certs")


def test_a_token_names_its_service_account(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    claims = verified(identity.token(EMAIL, AUDIENCE), identity)
    assert (claims["iss"], claims["email"]) == ("https://accounts.google.com", EMAIL)
    assert claims["email_verified"] is True
    assert claims["sub"] == claims["azp"]
    assert len(claims["sub"]) == 21
    assert claims["exp"] - claims["iat"] == 3600


def test_a_token_holds_for_its_audience_only(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    with pytest.raises(exceptions.InvalidValue):
        verified(identity.token(EMAIL, AUDIENCE), identity, "https://functions.example/other")


def test_a_token_holds_for_an_hour(tmp_path: Path) -> None:
    identity = Identity(tmp_path, clock=lambda: time.time() - 3700)
    with pytest.raises(exceptions.InvalidValue):
        verified(identity.token(EMAIL, AUDIENCE), identity)


def test_the_token_of_another_stack_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    token = Identity(tmp_path / "a").token(EMAIL, AUDIENCE)
    with pytest.raises((exceptions.MalformedError, exceptions.InvalidValue)):
        verified(token, Identity(tmp_path / "b"))


def test_the_key_outlives_the_process_and_is_for_our_eyes_only(tmp_path: Path) -> None:
    token = Identity(tmp_path).token(EMAIL, AUDIENCE)
    assert verified(token, Identity(tmp_path))["email"] == EMAIL
    assert stat.S_IMODE((tmp_path / "identity-key.pem").stat().st_mode) == 0o600
