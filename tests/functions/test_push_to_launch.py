"""From a push to a git server, over its webhook, to a launch whose image is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.http import ONCE
from functions.adapters.providers.github import GitHub
from functions.adapters.providers.gitlab import GitLab
from functions.core.names import image_name
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.webhook import webhook
from functions.world import World
from tests.fakes.deliveries import sample, signed
from tests.fakes.git_host import GitHost, git_host, new_repository
from tests.fakes.world import PREFIX, Fakes, events
from tests.functions.requests import request

SETTINGS = {"github_secrets": "s", "gitlab_tokens": "s", "repositories": ["*"], "debounce_s": 0}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with git_host(tmp_path) as host:
        yield host


@pytest.fixture
def made() -> Fakes:
    return Fakes(settings={"webhooks": SETTINGS})


@pytest.fixture
def world(made: Fakes, host: GitHost) -> World:
    github, gitlab = GitHub(url=host.url, timeout_s=5, retry=ONCE), GitLab(url=host.url, timeout_s=5, retry=ONCE)
    return replace(made.world(), providers={"gh": github, "gl": gitlab})


def deliver(world: World, path: str, payload: Any, **headers: str) -> dict[str, Any]:
    body = json.dumps(payload).encode()
    proof = {"X_Hub_Signature_256": signed(body, "s"), "X_Gitlab_Token": "s"}
    response = webhook(request(path, body=body, Content_Type="application/json", **proof, **headers), world)
    assert response.status_code == 202
    answer: dict[str, Any] = json.loads(response.get_data())
    return answer


def launch(world: World, provider: str, spec: str) -> list[str]:
    """The phases of a launch."""
    asked = Asked(provider=provider, spec=spec, host="", client_ip="", resume_key="", resume=None)
    return list(dict.fromkeys(event["phase"] for event in events([*launch_stream(asked, world)])))


def test_a_launch_after_a_push_asks_for_head_alone_and_builds_nothing(made: Fakes, world: World, host: GitHost) -> None:
    sha = new_repository(host.folder / "owner" / "plots").commit("first")
    deliver(world, "/webhooks/github", sample("github-push-branch", after=sha), X_GitHub_Event="push")
    [build] = made.backend.submitted
    assert (build.ref, build.repo_url) == (sha, f"{host.url}/owner/plots")
    made.registry.put(build.image)
    made.backend.finish(build.name)
    asked = len(host.requests)
    for ref, requests in (("main", 0), ("HEAD", 1), ("HEAD", 1)):
        assert launch(world, "gh", f"owner/plots/{ref}") == ["built", "launching", "ready"]
        assert (len(host.requests), len(made.backend.submitted)) == (asked + requests, 1)


def test_an_annotated_tag_leads_to_its_commit(made: Fakes, world: World, host: GitHost) -> None:
    repository = new_repository(host.folder / "owner" / "plots")
    sha = repository.commit("first")
    repository.git("tag", "--annotate", "-m", "Version 1", "v1")
    tag_object = repository.git("rev-parse", "v1")
    assert tag_object != sha
    payload = sample("github-push-annotated-tag", after=tag_object)
    deliver(world, "/webhooks/github", payload, X_GitHub_Event="push", X_GitHub_Delivery="1")
    deliver(world, "/webhooks/github", sample("github-create-tag"), X_GitHub_Event="create", X_GitHub_Delivery="2")
    assert [build.ref for build in made.backend.submitted] == [sha]


def test_a_project_in_a_group_within_a_group_of_gitlab(made: Fakes, world: World, host: GitHost) -> None:
    sha = new_repository(host.folder / "group" / "sub" / "plots.git").commit("first")
    deliver(world, "/webhooks/gitlab", sample("gitlab-push-branch", after=sha), X_Gitlab_Event="Push Hook")
    [build] = made.backend.submitted
    assert build.image == image_name(PREFIX, "group-sub-plots", sha)
    made.registry.put(build.image)
    assert launch(world, "gl", "group%2Fsub%2Fplots/main")[0] == "built"


def test_a_delivery_that_names_a_commit_of_a_stranger_builds_what_the_branch_names(
    made: Fakes, world: World, host: GitHost
) -> None:
    sha = new_repository(host.folder / "owner" / "plots").commit("first")
    told = deliver(world, "/webhooks/github", sample("github-push-branch", after="e" * 40), X_GitHub_Event="push")
    assert "another commit" in told["reason"]
    assert [build.ref for build in made.backend.submitted] == [sha]
