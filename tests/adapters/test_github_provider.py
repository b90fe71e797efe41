from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.adapters.http import ONCE
from functions.adapters.providers.git import Git
from functions.adapters.providers.github import GitHub
from functions.core.errors import InvalidSpec, RateLimited, RefNotFound, RepoNotFound, UpstreamError
from tests.fakes.git_host import GitHost, git_host, new_repository
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
    return GitHub(url=f"{host.url}/", api_url=api.url, token="secret", timeout_s=5, retry=ONCE)


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


DATE = "Wed, 21 Oct 2026 07:00:00 GMT"
LIMITS = [
    pytest.param(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1792569600"}, 3600, id="quota used up"),
    pytest.param(429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1792566060"}, 60, id="quota, 429"),
    pytest.param(403, {"Retry-After": "90"}, 90, id="secondary limit"),
    pytest.param(429, {"Retry-After": "90"}, 90, id="secondary limit, 429"),
    pytest.param(429, {}, 60, id="untold"),
    pytest.param(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, 60, id="nonsense"),
]


@pytest.mark.parametrize(("status", "headers", "seconds"), LIMITS)
def test_a_limit_of_the_api_says_how_long(
    github: GitHub, api: Web, status: int, headers: dict[str, str], seconds: float
) -> None:
    def answer(reply: Reply) -> None:
        reply.send_response_only(status)
        for name, value in {"Content-Length": "0", "Date": DATE, **headers}.items():
            reply.send_header(name, value)
        reply.end_headers()

    api.answer = answer
    with pytest.raises(RateLimited) as caught:
        github.resolve("owner/my.repo/0000000")
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize("answer", [(403, b""), (200, b"<html>"), (200, b"a" * 40 + b"/../x"), (401, b"")])
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


def test_display_configurations_are_binderhubs() -> None:
    assert GitHub().display_config() == {
        "displayName": "GitHub",
        "id": "gh",
        "spec": {"validateRegex": "[^/]+/[^/]+/.+"},
        "detect": {"regex": "^(https?://github.com/)?(?<repo>.*[^/])/?"},
        "repo": {
            "label": "GitHub repository name or URL",
            "placeholder": "example: binder-examples/requirements or https://github.com/binder-examples/requirements",
            "urlEncode": False,
        },
        "ref": {"enabled": True, "default": "HEAD"},
    }
    assert Git().display_config() == {
        "displayName": "Git repository",
        "id": "git",
        "spec": {"validateRegex": "[^/]+/.+"},
        "repo": {
            "label": "Arbitrary git repository URL",
            "placeholder": "example: http://git.example.com/repo",
            "urlEncode": True,
        },
        "ref": {"enabled": True, "default": "HEAD"},
    }
