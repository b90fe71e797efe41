from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.adapters.http import ONCE
from functions.adapters.providers.gitlab import GitLab
from functions.core.errors import InvalidSpec, RateLimited, RefNotFound, RepoNotFound, UpstreamError
from tests.fakes.git_host import GitHost, Handler, git_host, new_repository


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gitlab")
    repository = new_repository(folder / "forge" / "group" / "sub-group" / "project.git")
    repository.commit("first")
    repository.git("branch", "topic/one")
    repository.git("branch", "abcd")
    repository.git("tag", "-a", "v1", "-m", "annotated")
    repository.git("branch", "a/v1")
    return folder


@pytest.fixture(scope="module")
def sha(folder: Path) -> str:
    return (folder / "forge/group/sub-group/project.git/.git/refs/heads/main").read_text().strip()


class Forge:
    """A GitLab under a path: git by the real backend, and the one call of its API that matters."""

    def __init__(self, sha: str) -> None:
        self.sha = sha
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.status, self.body = 200, json.dumps({"id": sha}).encode()

    def __call__(self, handler: Handler) -> bool:
        if "/api/v4/" not in handler.path:
            return False
        self.asked.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}))
        if handler.headers.get("If-None-Match") == 'W/"e1"':
            return handler.answer(304)
        return handler.answer(self.status, self.body, ETag='W/"e1"')


@pytest.fixture
def forge(sha: str) -> Forge:
    return Forge(sha)


@pytest.fixture
def host(folder: Path, forge: Forge) -> Iterator[GitHost]:
    with git_host(folder) as host:
        host.rule = forge
        yield host


@pytest.fixture
def gitlab(host: GitHost) -> GitLab:
    return GitLab(url=f"{host.url}/forge", token="secret", timeout_s=5, retry=ONCE)


PROJECT = "group%2Fsub-group%2Fproject"


@pytest.mark.parametrize("ref", ["HEAD", "main", "topic/one", "topic%2Fone", "v1"])
def test_a_ref_of_a_project_in_a_subgroup_takes_one_request(gitlab: GitLab, host: GitHost, sha: str, ref: str) -> None:
    found = gitlab.resolve(f"{PROJECT}/{ref}")
    assert (found.sha, found.slug) == (sha, "group-sub_-group-project")
    assert host.requests == ["POST /forge/group/sub-group/project.git/git-upload-pack"]


def test_git_is_not_told_the_token(gitlab: GitLab, host: GitHost) -> None:
    seen: list[str] = []

    def rule(handler: Handler) -> bool:
        seen.extend(map(str.lower, handler.headers.keys()))
        return False

    host.rule = rule
    gitlab.resolve(f"{PROJECT}/HEAD")
    assert "git-protocol" in seen and "private-token" not in seen


def test_a_full_sha_needs_no_request(gitlab: GitLab, host: GitHost) -> None:
    assert gitlab.resolve(f"{PROJECT}/{'f' * 40}").sha == "f" * 40
    assert host.requests == []


def test_a_short_sha_is_asked_of_the_api(gitlab: GitLab, forge: Forge, sha: str) -> None:
    found = gitlab.resolve(f"{PROJECT}/{sha[:7]}")
    assert (found.sha, found.etag) == (sha, 'W/"e1"')
    path, headers = forge.asked[0]
    assert path == f"/forge/api/v4/projects/{PROJECT}/repository/commits/{sha[:7]}"
    assert headers["private-token"] == "secret"


def test_a_short_sha_that_still_holds_is_what_it_was(gitlab: GitLab, forge: Forge, sha: str) -> None:
    before = gitlab.resolve(f"{PROJECT}/{sha[:7]}")
    forge.body = b"not read"
    assert gitlab.resolve(f"{PROJECT}/{sha[:7]}", before) == before


def test_a_branch_that_looks_like_a_short_sha_is_a_branch(gitlab: GitLab, forge: Forge, sha: str) -> None:
    assert gitlab.resolve(f"{PROJECT}/abcd").sha == sha
    assert forge.asked == []


def test_a_short_sha_that_is_not_there_is_not_found(gitlab: GitLab, forge: Forge) -> None:
    forge.status = 404
    with pytest.raises(RefNotFound) as caught:
        gitlab.resolve(f"{PROJECT}/0000000")
    assert caught.value.default_branch == "main"


def test_a_missing_branch_is_not_asked_of_the_api(gitlab: GitLab, forge: Forge) -> None:
    with pytest.raises(RefNotFound, match="Its default branch is main"):
        gitlab.resolve(f"{PROJECT}/master")
    assert forge.asked == []


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id": 7}', b'{"id": "main"}', b"<html>"])
def test_an_answer_without_an_id_is_gitlabs_fault(gitlab: GitLab, forge: Forge, body: bytes) -> None:
    forge.body = body
    with pytest.raises(UpstreamError):
        gitlab.resolve(f"{PROJECT}/0000000")


def test_gitlab_can_ask_for_patience(gitlab: GitLab, host: GitHost, forge: Forge) -> None:
    forge.status = 429
    for _ in range(2):
        with pytest.raises(RateLimited, match="GitLab asks us to wait"):
            gitlab.resolve(f"{PROJECT}/0000000")
    assert len(forge.asked) == 1


def test_a_private_project_is_not_found(gitlab: GitLab, host: GitHost, forge: Forge) -> None:
    host.rule = lambda handler: handler.answer(401, WWW_Authenticate='Basic realm="GitLab"')
    with pytest.raises(RepoNotFound):
        gitlab.resolve(f"{PROJECT}/0000000")
    assert forge.asked == []


def test_a_renamed_project_is_followed(gitlab: GitLab, host: GitHost, sha: str) -> None:
    """As GitLab does it: only the discovery of git's protocol is redirected."""

    def rule(handler: Handler) -> bool:
        new = handler.path.replace("/old/name.git", "/group/sub-group/project.git")
        if new == handler.path:
            return False
        return handler.answer(301, Location=new) if "/info/refs" in new else handler.answer(404)

    host.rule = rule
    found = gitlab.resolve("old%2Fname/HEAD")
    assert (found.sha, found.repo_url) == (sha, f"{host.url}/forge/old/name.git")


def test_what_names_no_project_is_refused_before_any_request(gitlab: GitLab, host: GitHost) -> None:
    with pytest.raises(InvalidSpec):
        gitlab.resolve("project/HEAD")
    assert host.requests == []
