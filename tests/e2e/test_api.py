"""A launch through the JSON API on the whole stack, by a client that only asks again."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import HTTP, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

PATIENCE_S = 120


def ask(stack: Stack, method: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    answer = HTTP.request(method, stack.url + path, headers=headers, body=json.dumps(body) if body else None)
    assert answer.status < 300, answer.data
    found: dict[str, Any] = answer.json()
    return found


def test_a_launch_is_asked_for_waited_for_used_and_stopped(stack: Stack, make_repository: MakeRepository) -> None:
    spec = f"{quote(make_repository('asked-for'), safe='')}/HEAD"
    launch = ask(stack, "POST", "/api/launches", {"provider": "git", "spec": spec})
    where, deadline = f"/api/launches/{launch['id']}", time.monotonic() + PATIENCE_S
    while launch["phase"] in ("waiting", "launching"):
        assert time.monotonic() < deadline, launch
        time.sleep(0.5)
        launch = ask(stack, "GET", where)
    assert launch["phase"] == "ready", launch
    status = HTTP.request("GET", f"{launch['url']}api/status", headers={"Authorization": f"token {launch['token']}"})
    assert status.status == 200
    build = ask(stack, "GET", launch["build"])
    assert build["status"] == "SUCCESS"
    log = HTTP.request("GET", stack.url + build["log"])
    assert b"Cloning into" in log.data or b"Fetched" in log.data, log.data[:2000]
    page = ask(stack, "GET", f"{launch['events']}?limit=1000")
    assert page["events"][-1]["event"]["phase"] == "ready"
    assert ask(stack, "DELETE", where)["phase"] == "stopped"
    gone = HTTP.request("GET", f"{launch['url']}api/status", headers={"Authorization": f"token {launch['token']}"})
    assert gone.status != 200
