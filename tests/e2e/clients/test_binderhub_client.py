"""JupyterHub's own `@jupyterhub/binderhub-client`, as npm has it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.conftest import NODE, bundle, spec_of
from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import HTTP, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle("in_node.mjs", tmp_path_factory.mktemp("node") / "launch.mjs", "--platform=node", "--format=esm")


def in_node(script: Path, stack: Stack, repo_url: str, *, ref: str = "HEAD", query: str = "") -> dict[str, Any]:
    """What the client heard of a launch, and where it would lead the visitor."""
    command = [NODE, str(script), stack.url, spec_of(repo_url, ref), query]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    # Above it stands what the client itself writes to the console.
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def phases(heard: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(event["phase"] for event in heard["events"]))


def test_it_follows_a_build_to_the_server(script: Path, stack: Stack, make_repository: MakeRepository) -> None:
    heard = in_node(script, stack, make_repository("followed"))
    told = phases(heard)
    assert told[0] == "waiting"
    assert {"fetching", "building"} <= set(told)
    assert told[-3:] == ["built", "launching", "ready"]


def test_it_leads_into_the_server(script: Path, stack: Stack, plain: str) -> None:
    heard = in_node(script, stack, plain, query="labpath=notes.ipynb")
    assert phases(heard) == ["built", "launching", "ready"]
    ready = heard["events"][-1]
    assert heard["address"] == f"{ready['url']}doc/tree/notes.ipynb?token={ready['token']}"
    opened = HTTP.request("GET", heard["address"])
    assert (opened.status, b"JupyterLab" in opened.data) == (200, True)


def test_it_hears_why_a_launch_fails(script: Path, stack: Stack, plain: str) -> None:
    heard = in_node(script, stack, plain, ref="no-such-branch")
    assert phases(heard) == ["failed"]
    assert "no branch, tag or commit no-such-branch" in heard["events"][0]["message"]
