"""A push prebuilds the image of its commit."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from flask import Response

from functions.core.errors import BadRequest, BadSignature, NotAllowed
from functions.webhook import webhook
from tests.fakes.world import Fakes
from tests.functions.requests import request

SHA = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
PUSH = json.dumps({"ref": "refs/heads/main", "after": SHA, "repository": {"full_name": "owner/plots"}}).encode()


def fakes() -> Fakes:
    made = Fakes(settings={"webhooks": {"github_secrets": "old,new", "repositories": ["gh/owner/*"]}})
    made.know(f"owner/plots/{SHA}")
    return made


def deliver(made: Fakes, body: bytes = PUSH, *, secret: str = "new", path: str = "/webhooks/github") -> Response:
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X_Hub_Signature_256": signature, "X_GitHub_Event": "push"}
    return webhook(request(path, body=body, **headers), made.world())


def said(response: Response) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(response.get_data())
    return answer


def test_a_push_begins_one_build_however_often_it_is_delivered() -> None:
    made = fakes()
    assert [deliver(made).status_code, deliver(made).status_code] == [202, 202]
    assert len(made.backend.submitted) == 1


def test_an_image_that_is_there_is_not_built() -> None:
    made = fakes()
    repo = made.know(f"owner/plots/{SHA}", built=True)
    assert said(deliver(made)) == {"image": made.image(repo), "status": "there already"}
    assert made.backend.submitted == []


def test_an_unsigned_delivery_is_refused() -> None:
    with pytest.raises(BadSignature):
        deliver(fakes(), secret="guess")


def test_without_secrets_webhooks_are_off() -> None:
    with pytest.raises(NotAllowed):
        deliver(Fakes())


def test_what_is_not_for_us_is_ignored_with_a_reason() -> None:
    body = PUSH.replace(b"owner/plots", b"other/plots")
    assert "not among the repositories" in said(deliver(fakes(), body))["ignored"]


def test_another_address_is_not_found() -> None:
    assert deliver(fakes(), path="/webhooks/elsewhere").status_code == 404


def test_a_get_is_refused() -> None:
    with pytest.raises(BadRequest):
        webhook(request("/webhooks/github", method="GET"), fakes().world())
