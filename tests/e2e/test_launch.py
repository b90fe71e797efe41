"""A launch on the whole stack: real JupyterHub, KubeSpawner, repo2docker, Pub/Sub client and git."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import HTTP, ROOT, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def plain(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a repository that was launched before."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "notes.ipynb").write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    repo_url = stack.publish(folder, "plain")
    stack.ready(repo_url)
    return repo_url


def test_the_demo_launches_the_examples(stack: Stack) -> None:
    demo = [sys.executable, "-m", "emulator", "demo"]
    done = subprocess.run(
        demo,
        cwd=ROOT,
        env=stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
    assert "6*7 = 42" in done.stdout
    assert "The image was there before anyone clicked." in done.stdout


def test_a_new_repository_is_built_and_served(stack: Stack, make_repository: MakeRepository) -> None:
    story = list(stack.until_end(stack.launch(make_repository("fresh"))))
    phases = list(dict.fromkeys(event.phase for event in story if event.phase != "unknown"))
    assert phases[0] == "waiting"
    assert phases[-3:] == ["built", "launching", "ready"]
    assert {"fetching", "building"} <= set(phases)
    assert all(event.message for event in story)
    assert all(event.id for event in story)


def test_a_known_image_is_not_built_again(stack: Stack, plain: str) -> None:
    story = list(stack.until_end(stack.launch(plain)))
    assert [event.phase for event in story if event.phase not in ("launching",)] == ["built", "ready"]
    assert len(stack.builds_of(plain)) == 1


def test_the_token_opens_jupyterlab_and_nothing_else_does(stack: Stack, plain: str) -> None:
    ready = stack.ready(plain).data
    opened = HTTP.request("GET", f"{ready['url']}lab?token={ready['token']}")
    refused = HTTP.request("GET", f"{ready['url']}api/contents", redirect=False)
    assert opened.status == 200
    assert b"JupyterLab" in opened.data
    assert refused.status in (302, 403)


def test_the_server_holds_the_repository_and_knows_where_it_came_from(stack: Stack, plain: str) -> None:
    ready = stack.ready(plain).data
    headers = {"Authorization": f"token {ready['token']}"}
    contents = json.loads(HTTP.request("GET", f"{ready['url']}api/contents", headers=headers).data)
    assert [entry["name"] for entry in contents["content"]] == ["notes.ipynb"]
    [pod] = [pod for pod in stack.pods() if ready["url"].rstrip("/").rpartition("/")[2] in json.dumps(pod)]
    variables = {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}
    assert variables["BINDER_REPO_URL"] == plain
    assert variables["BINDER_REQUEST"] == f"v2/git/{quote(plain, safe='')}/HEAD"


def test_servers_live_on_another_hostname_than_the_functions(stack: Stack, plain: str) -> None:
    assert stack.url.startswith("http://127.0.0.1:")
    assert str(stack.ready(plain).data["url"]).startswith("http://localhost:")


def test_a_build_that_fails_says_why(stack: Stack) -> None:
    repo_url = stack.publish(ROOT / "examples" / "broken", "broken-again")
    last = list(stack.until_end(stack.launch(repo_url)))[-1]
    assert last.phase == "failed"
    assert "binderless" in last.message or "no version" in last.message.lower() or "not found" in last.message.lower()


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/build/git/http%3A%2F%2F127.0.0.1%3A1024%2Fnone/HEAD", "127.0.0.1"),
        ("/build/git/http%3A%2F%2Fno-such-host.invalid%2Fx/HEAD", "no-such-host.invalid"),
        ("/build/nope/x/y/z", "No provider found for prefix nope"),
        ("/build/gh/only-one-part", "user/repo/ref"),
    ],
    ids=["nobody listens", "no such host", "no such provider", "bad spec"],
)
def test_a_link_that_leads_nowhere_says_so(stack: Stack, path: str, part: str) -> None:
    [event] = stack.stream(path)
    assert event.phase == "failed"
    assert part in event.message


def test_a_repository_that_is_not_there_and_one_without_that_branch_are_told_apart(stack: Stack, plain: str) -> None:
    [missing] = stack.launch(plain.replace("plain.git", "none.git"))
    [branchless] = stack.launch(plain, "no-such-branch")
    assert "no public repository" in missing.message
    assert "no branch, tag or commit no-such-branch" in branchless.message
    assert "default branch is main" in branchless.message


def test_a_folder_that_is_offered_is_launched_from_and_no_other(
    stack: Stack, make_repository: MakeRepository, tmp_path: Path
) -> None:
    make_repository("local")
    assert stack.ready(f"file://{stack.state}/git/local")
    [refused] = stack.launch(f"file://{tmp_path}/local")
    assert "not in a folder whose repositories may be launched" in refused.message


def test_kubectl_sees_the_cluster(stack: Stack, plain: str) -> None:
    kubectl = ["kubectl", f"--kubeconfig={stack.status()['kubeconfig']}", "get", "pods", "-A"]
    shown = subprocess.run(kubectl, capture_output=True, text=True, check=True, timeout=30).stdout
    assert "jupyter-" in shown
    # Cloud Build's machines go when a build has ended.
    assert ("build-" in shown) == (stack.backend == "kubernetes")
