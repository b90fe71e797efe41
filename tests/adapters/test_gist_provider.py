from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.http import ONCE
from functions.adapters.providers.gist import Gist
from functions.adapters.providers.github import github_api
from functions.core.errors import NotAllowed, RefNotFound, RepoNotFound, UpstreamError
from tests.fakes.git_host import GitHost, git_host, tells
from tests.fakes.web import Reply, Web, web_server

ID = "8a658f7f63b13768d1e75fa2464f5092"
NEWEST, OLDER, ALIKE = "7daa" + "1" * 36, "abcdef" + "2" * 34, "abcdef" + "3" * 34


class GistApi:
    """Answers for one gist, with ETags, as GitHub does."""

    def __init__(self) -> None:
        self.gist: Any = {"public": True, "history": [{"version": sha} for sha in (NEWEST, OLDER, ALIKE)]}
        self.etag = '"one"'

    def __call__(self, reply: Reply) -> None:
        if reply.path != f"/gists/{ID}":
            reply.send(404)
        elif reply.headers.get("If-None-Match") == self.etag:
            reply.send(304)
        else:
            reply.send(200, json.dumps(self.gist).encode(), {"ETag": self.etag, "X-RateLimit-Remaining": "41"})


@pytest.fixture
def gist_api() -> GistApi:
    return GistApi()


@pytest.fixture
def api(gist_api: GistApi) -> Iterator[Web]:
    with web_server() as api:
        api.answer = gist_api
        yield api


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with git_host(tmp_path) as host:
        host.rule = tells({f"/me/{ID}.git": [f"{NEWEST} HEAD symref-target:refs/heads/main"]})
        yield host


@pytest.fixture
def gist(host: GitHost, api: Web) -> Gist:
    return Gist(url=host.url, api=github_api(url=api.url, token="secret", retry=ONCE), retry=ONCE)


@pytest.fixture
def lenient(host: GitHost, api: Web) -> Gist:
    return Gist(url=host.url, api=github_api(url=api.url, retry=ONCE), allow_secret=True, retry=ONCE)


@pytest.mark.parametrize("ref", ["", "/HEAD", "/main", "/master"])
def test_one_call_tells_visibility_and_the_newest_revision(gist: Gist, host: GitHost, api: Web, ref: str) -> None:
    assert gist.resolve(f"me/{ID}{ref}").sha == NEWEST
    assert (len(api.seen), host.requests) == (1, [])
    assert api.seen[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(("ref", "sha"), [(OLDER, OLDER), (OLDER[:7], OLDER), (NEWEST[:4], NEWEST)])
def test_a_revision_is_found_by_its_id_or_the_beginning_of_it(gist: Gist, ref: str, sha: str) -> None:
    assert gist.resolve(f"me/{ID}/{ref}").sha == sha


@pytest.mark.parametrize("ref", ["nosuchref", "0" * 40, "0000000", NEWEST[:3], NEWEST[:7].upper()])
def test_what_is_not_in_the_history_is_not_found(gist: Gist, ref: str) -> None:
    with pytest.raises(RefNotFound, match="Name one of its revisions, or HEAD"):
        gist.resolve(f"me/{ID}/{ref}")


def test_the_beginning_of_two_revisions_is_neither(gist: Gist) -> None:
    with pytest.raises(RefNotFound, match="More than one of its revisions begins so"):
        gist.resolve(f"me/{ID}/abcdef")


def test_an_unknown_gist_is_not_found(gist: Gist) -> None:
    with pytest.raises(RepoNotFound):
        gist.resolve("me/1234567890")


@pytest.mark.parametrize("public", [False, None, "true", 1])
def test_a_gist_that_is_not_public_is_refused(gist: Gist, gist_api: GistApi, public: object) -> None:
    gist_api.gist["public"] = public
    for ref in ("HEAD", NEWEST, NEWEST[:7]):
        with pytest.raises(NotAllowed, match="secret gist"):
            gist.resolve(f"me/{ID}/{ref}")


def test_a_gist_that_has_not_changed_is_what_it_was(gist: Gist, api: Web) -> None:
    before = gist.resolve(f"me/{ID}")
    assert before.etag == '"one"'
    assert gist.resolve(f"me/{ID}", before) == before
    assert api.seen[1].headers["if-none-match"] == '"one"'


def test_a_gist_that_has_changed_is_read_again(gist: Gist, gist_api: GistApi) -> None:
    before = gist.resolve(f"me/{ID}")
    gist_api.etag = '"two"'
    gist_api.gist["history"].insert(0, {"version": "9" * 40})
    assert (gist.resolve(f"me/{ID}", before).sha, gist.resolve(f"me/{ID}", before).etag) == ("9" * 40, '"two"')


def test_where_secret_gists_are_allowed_git_answers_alone(lenient: Gist, host: GitHost, api: Web) -> None:
    assert lenient.resolve(f"me/{ID}/master").sha == NEWEST
    assert lenient.resolve(f"me/{ID}/{OLDER}").sha == OLDER
    assert (host.requests, api.seen) == ([f"POST /me/{ID}.git/git-upload-pack"], [])


def test_the_beginning_of_a_secret_gists_revision_is_asked_of_the_api(lenient: Gist, gist_api: GistApi) -> None:
    gist_api.gist["public"] = False
    assert lenient.resolve(f"me/{ID}/{OLDER[:7]}").sha == OLDER


def test_a_secret_gist_does_not_stay_allowed_by_its_etag(gist: Gist, lenient: Gist, gist_api: GistApi) -> None:
    gist_api.gist["public"] = False
    before = lenient.resolve(f"me/{ID}/{OLDER[:7]}")
    with pytest.raises(NotAllowed):
        gist.resolve(f"me/{ID}/{OLDER[:7]}", before)


BROKEN: list[object] = [
    [],
    None,
    {},
    {"public": True},
    {"public": True, "history": []},
    {"public": True, "history": [{}]},
    {"public": True, "history": ["x"]},
    {"public": True, "history": [{"version": "a" * 40 + "/../x"}]},
    {"public": True, "history": [{"version": 7}]},
    {"history": [{"version": "a" * 40}]},
]


@pytest.mark.parametrize("answer", BROKEN, ids=repr)
def test_an_answer_that_describes_no_gist_is_githubs_fault(gist: Gist, gist_api: GistApi, answer: object) -> None:
    gist_api.gist = answer
    with pytest.raises(UpstreamError, match="does not describe a gist"):
        gist.resolve(f"me/{ID}")
