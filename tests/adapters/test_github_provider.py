from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.adapters.http import ONCE
from functions.adapters.providers.github import GitHub, github_api
from functions.core.errors import InvalidSpec, NotAllowed, RateLimited, RefNotFound, RepoNotFound, UpstreamError
from tests.fakes.git_host import GitHost, Handler, git_host, new_repository
from tests.fakes.web import Reply, Web, web_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("github")
    repository = new_repository(folder / "owner" / "my.repo")
    repository.commit("first")
    repository.git("branch", "topic/one")
    repository.git("branch", "abcd")
    return folder


@pytest.fixture(scope="module")
def sha(folder: Path) -> str:
    return (folder / "owner/my.repo/.git/refs/heads/main").read_text().strip()


@pytest.fixture
def host(folder: Path) -> Iterator[GitHost]:
    with git_host(folder) as host:
        yield host


@pytest.fixture
def api(sha: str) -> Iterator[Web]:
    with web_server() as api:
        api.answer = lambda reply: reply.send(200, sha.encode())
        yield api


@pytest.fixture
def github(host: GitHost, api: Web) -> GitHub:
    by_token = github_api(url=api.url, token="secret", timeout_s=5, retry=ONCE)
    return GitHub(url=f"{host.url}/", api=by_token, timeout_s=5, retry=ONCE)


def test_a_resolved_repository_has_binderhubs_names(github: GitHub, host: GitHost, api: Web, sha: str) -> None:
    found = github.resolve("owner/my.repo.git/topic/one")
    assert (found.provider, found.spec, found.sha) == ("gh", "owner/my.repo.git/topic/one", sha)
    assert (found.slug, found.resolved_spec) == ("owner-my.repo", f"owner/my.repo/{sha}")
    assert (found.repo_url, found.ref_url) == (f"{host.url}/owner/my.repo", f"{host.url}/owner/my.repo/tree/{sha}")
    assert (len(host.requests), api.seen) == (1, [])


def test_a_full_sha_needs_no_request(github: GitHub, host: GitHost) -> None:
    assert github.resolve(f"jupyterhub/zero-to-jupyterhub-k8s/{'f' * 40}").sha == "f" * 40
    assert host.requests == []


def test_a_short_sha_is_asked_of_the_api(github: GitHub, api: Web, sha: str) -> None:
    assert github.resolve(f"owner/my.repo/{sha[:7]}").sha == sha
    assert api.seen[0].path == f"/repos/owner/my.repo/commits/{sha[:7]}"
    assert api.seen[0].headers["accept"] == "application/vnd.github.sha"
    assert api.seen[0].headers["authorization"] == "Bearer secret"


def test_a_branch_that_looks_like_a_short_sha_is_a_branch(github: GitHub, api: Web, sha: str) -> None:
    assert github.resolve("owner/my.repo/abcd").sha == sha
    assert api.seen == []


@pytest.mark.parametrize("status", [404, 409, 422])
def test_a_short_sha_that_is_not_there_is_not_found(github: GitHub, api: Web, status: int) -> None:
    api.answer = lambda reply: reply.send(status)
    with pytest.raises(RefNotFound) as caught:
        github.resolve("owner/my.repo/0000000")
    assert caught.value.default_branch == "main"


def test_a_short_sha_that_means_something_else_is_not_found(github: GitHub) -> None:
    with pytest.raises(RefNotFound):
        github.resolve("owner/my.repo/0000000")


def test_a_missing_branch_is_not_asked_of_the_api(github: GitHub, api: Web) -> None:
    with pytest.raises(RefNotFound, match="Its default branch is main"):
        github.resolve("owner/my.repo/master")
    assert api.seen == []


def test_a_private_repository_is_not_found(github: GitHub, host: GitHost) -> None:
    host.rule = lambda handler: handler.answer(401, WWW_Authenticate='Basic realm="GitHub"')
    with pytest.raises(RepoNotFound):
        github.resolve("owner/secret/HEAD")
    assert len(host.requests) == 1


def test_a_short_sha_that_still_holds_is_what_it_was(github: GitHub, api: Web, sha: str) -> None:
    api.answer = lambda reply: reply.send(200, sha.encode(), {"ETag": '"e1"'})
    before = github.resolve(f"owner/my.repo/{sha[:7]}")
    api.answer = lambda reply: reply.send(304)
    assert github.resolve(f"owner/my.repo/{sha[:7]}", before) == before
    assert api.seen[1].headers["if-none-match"] == '"e1"'


def test_a_limit_of_the_api_stops_nothing_that_git_knows(github: GitHub, api: Web, sha: str) -> None:
    api.answer = lambda reply: reply.send(429, headers={"Retry-After": "90", "X-RateLimit-Remaining": "0"})
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            github.resolve("owner/my.repo/0000000")
    assert 0 < caught.value.retry_after_s <= 90
    assert (len(api.seen), github.quota_remaining) == (1, 0)
    assert github.resolve("owner/my.repo/main").sha == sha


def test_the_token_does_not_follow_a_redirect_to_another_host(github: GitHub, api: Web, sha: str) -> None:
    with web_server() as other:
        api.answer = lambda reply: reply.send(301, headers={"Location": f"{other.url}/elsewhere"})
        with pytest.raises(NotAllowed):
            github.resolve("owner/my.repo/0000000")
        assert other.seen == []


def test_the_api_of_a_renamed_repository_is_followed_with_the_token(github: GitHub, api: Web, sha: str) -> None:
    def answer(reply: Reply) -> None:
        moved = reply.path.startswith("/repos/")
        reply.send(*((301, b"", {"Location": "/repositories/7"}) if moved else (200, sha.encode())))

    api.answer = answer
    assert github.resolve(f"owner/my.repo/{sha[:7]}").sha == sha
    assert api.seen[1].headers["authorization"] == "Bearer secret"


def test_a_renamed_repository_is_followed(github: GitHub, host: GitHost, sha: str) -> None:
    def rule(handler: Handler) -> bool:
        new = handler.path.replace("/owner/old/", "/owner/my.repo/")
        return new != handler.path and handler.answer(301, Location=new)

    host.rule = rule
    found = github.resolve("owner/old/HEAD")
    assert (found.sha, found.repo_url) == (sha, f"{host.url}/owner/old")


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}", "http://localhost:{port}", "http://me:pw@127.0.0.1:{port}"]
)
def test_redirects_of_a_chosen_server_are_no_way_to_others_inside(github: GitHub, host: GitHost, target: str) -> None:
    with web_server() as inside:
        location = target.format(port=inside.port)
        host.rule = lambda handler: handler.answer(302, Location=location + handler.path)
        with pytest.raises(NotAllowed) as caught:
            github.resolve("owner/my.repo/HEAD")
        assert inside.seen == [] and "pw" not in str(caught.value)


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, b"a" * 40 + b"/../x"), (401, b"")])
def test_an_answer_without_an_id_is_githubs_fault(github: GitHub, api: Web, answer: tuple[int, bytes]) -> None:
    api.answer = lambda reply: reply.send(*answer)
    with pytest.raises(UpstreamError) as caught:
        github.resolve("owner/my.repo/0000000")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("spec", ["owner/my.repo", "../my.repo/HEAD", "owner/../HEAD", "owner/a%2Fb/HEAD"])
def test_what_names_no_repository_is_refused_before_any_request(github: GitHub, host: GitHost, spec: str) -> None:
    with pytest.raises(InvalidSpec):
        github.resolve(spec)
    assert host.requests == []
