"""Deliveries signed by GitHub's own library, @octokit/webhooks-methods, in Node."""

from __future__ import annotations

import json
import subprocess
from urllib.parse import urlencode

import pytest

from emulator.bootstrap import CLIENTS, PROXY
from functions.core.errors import BadSignature
from functions.webhook import webhook
from tests.fakes.deliveries import SHA, sample
from tests.fakes.world import Fakes
from tests.functions.requests import request

SIGN = """
import { readFileSync } from "node:fs";
import { sign } from "@octokit/webhooks-methods";
process.stdout.write(await sign(process.argv[1], readFileSync(0, "utf8")));
"""
SECRET = "schlüssel & more"
PUSH = json.dumps(sample("github-push-branch", compare="grün 💣 \u2028"), ensure_ascii=False)
BODIES = {"application/json": PUSH, "application/x-www-form-urlencoded": urlencode({"payload": PUSH})}


def signed_by_github(body: str, secret: str) -> str:
    command = [str(PROXY / "node"), "--input-type=module", "--eval", SIGN, secret]
    done = subprocess.run(command, input=body.encode(), cwd=CLIENTS, capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


def deliver(body: str, content_type: str, signature: str) -> int:
    made = Fakes(settings={"webhooks": {"github_secrets": f"old,{SECRET}", "repositories": ["gh/owner/plots"]}})
    for ref in ("main", "HEAD"):
        made.provider.know(f"owner/plots/{ref}", SHA)
    headers = {"Content_Type": content_type, "X_GitHub_Event": "push", "X_Hub_Signature_256": signature}
    return webhook(request("/webhooks/github", body=body.encode(), **headers), made.world()).status_code


@pytest.mark.parametrize("content_type", BODIES)
def test_what_github_signs_is_believed(content_type: str) -> None:
    body = BODIES[content_type]
    assert deliver(body, content_type, signed_by_github(body, SECRET)) == 202


def test_what_github_signs_for_somebody_else_is_not() -> None:
    with pytest.raises(BadSignature):
        deliver(PUSH, "application/json", signed_by_github(PUSH, "another secret"))


def test_a_body_that_was_changed_on_its_way_is_not() -> None:
    with pytest.raises(BadSignature):
        deliver(PUSH + " ", "application/json", signed_by_github(PUSH, SECRET))
