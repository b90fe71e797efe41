"""Looking images up: names, credentials, and registries that behave in their own ways."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from threading import Event, Thread
from typing import Any

import pytest

from functions.adapters.http import ONCE, HttpClient
from functions.adapters.registry import OCIRegistry
from functions.adapters.registry_login import PasswordAccount
from functions.core.errors import RateLimited, UpstreamError
from functions.core.ports import ImageFound, ImageMissing
from tests.fakes.web import Reply, Web

DIGEST = "sha256:" + "0" * 64
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
IMAGE = "r.example.org/team/name:1"
ME = PasswordAccount("me", "secret")


def registry_at(web: Web, **options: Any) -> OCIRegistry:
    return OCIRegistry(HttpClient("The registry", web.url, retry=ONCE), **options)


def answers(*statuses: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Callable[[Reply], None]:
    """One status a request, the last one for ever."""
    left = list(statuses)

    def answer(reply: Reply) -> None:
        reply.send(left.pop(0) if len(left) > 1 else left[0], body, headers)

    return answer


class TokenRegistry:
    """Asks for a bearer token, gives them out, and accepts the latest one."""

    def __init__(self, web: Web, *, life_s: int = 300, credentials: str = BASIC) -> None:
        self.given = 0
        self.life_s, self.credentials, self.url = life_s, credentials, web.url

    def __call__(self, reply: Reply) -> None:
        if reply.path.startswith("/token"):
            if reply.headers.get("Authorization", "") != self.credentials:
                return reply.send(401)
            self.given += 1
            body = {"token": f"t{self.given}", "expires_in": self.life_s}
            return reply.send(200, json.dumps(body).encode())
        if reply.headers.get("Authorization") == f"Bearer t{self.given}":
            return reply.send(200, headers={"Docker-Content-Digest": DIGEST})
        scope = "repository:team/name:pull"
        challenge = f'Bearer realm="{self.url}/token",service="r.example.org",scope="{scope}"'
        return reply.send(401, headers={"WWW-Authenticate": challenge})


def test_any_kind_of_manifest_is_asked_for_without_getting_it(web: Web) -> None:
    web.answer = answers(200, headers={"Docker-Content-Digest": DIGEST})
    assert registry_at(web).find(IMAGE) == ImageFound(DIGEST)
    (seen,) = web.seen
    assert (seen.method, seen.path) == ("HEAD", "/v2/team/name/manifests/1")
    assert seen.headers["accept"].split(", ") == [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ]


@pytest.mark.parametrize(("options", "header"), [({}, None), ({"account": ME}, BASIC)], ids=["anonymous", "basic"])
def test_credentials_are_sent_if_there_are_any(web: Web, options: dict[str, Any], header: str | None) -> None:
    web.answer = answers(404)
    assert registry_at(web, **options).find(IMAGE) == ImageMissing()
    assert web.seen[0].headers.get("authorization") == header


def test_a_name_that_is_a_path_is_not_asked_for(web: Web) -> None:
    with pytest.raises(ValueError, match="no image is called"):
        registry_at(web).find("r.example.org/../x:1")
    assert web.seen == []


@pytest.mark.parametrize("header", [{}, {"Docker-Content-Digest": "sha256:nonsense"}], ids=["none", "bad"])
def test_a_digest_that_is_not_told_is_computed(web: Web, header: dict[str, str]) -> None:
    web.answer = answers(200, headers=header, body=b'{"schemaVersion": 2}')
    assert registry_at(web).find(IMAGE) == ImageFound("sha256:" + sha256(b'{"schemaVersion": 2}').hexdigest())


def test_a_page_that_a_proxy_shows_to_everybody_is_no_image(web: Web) -> None:
    web.answer = answers(200, body=b"<html>Please sign in")
    with pytest.raises(UpstreamError, match="no manifest"):
        registry_at(web).find(IMAGE)


def test_a_token_is_fetched_where_the_registry_says_and_kept(web: Web) -> None:
    registry = registry_at(web, account=ME)
    web.answer = TokenRegistry(web)
    assert registry.find(IMAGE, fresh=True) == registry.find(IMAGE, fresh=True) == ImageFound(DIGEST)
    assert web.answer.given == 1
    accepted = {seen.headers["accept"].count("application/") for seen in web.seen if seen.method == "HEAD"}
    assert accepted == {4}
    asked = "/token?scope=repository%3Ateam%2Fname%3Apull&service=r.example.org"
    assert [seen.path for seen in web.seen if seen.path.startswith("/token")] == [asked]


def test_a_token_is_fetched_without_credentials_too(web: Web) -> None:
    web.answer = TokenRegistry(web, credentials="")
    assert registry_at(web).find(IMAGE) == ImageFound(DIGEST)


def test_a_token_that_has_ended_is_not_used(web: Web) -> None:
    now = [1000.0]
    registry = registry_at(web, account=ME, clock=lambda: now[0])
    web.answer = TokenRegistry(web, life_s=60)
    registry.find(IMAGE)
    now[0] += 51
    registry.find(IMAGE, fresh=True)
    assert web.answer.given == 2


def test_a_token_that_is_refused_is_replaced(web: Web) -> None:
    registry = registry_at(web, account=ME)
    web.answer = TokenRegistry(web)
    registry.find(IMAGE)
    web.answer.given += 1
    assert registry.find(IMAGE, fresh=True) == ImageFound(DIGEST)


def test_credentials_that_are_refused_are_an_error(web: Web) -> None:
    web.answer = answers(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    with pytest.raises(UpstreamError, match="does not accept our credentials"):
        registry_at(web, account=PasswordAccount("me", "wrong")).find(IMAGE)


def test_a_registry_without_tokens_for_us_is_an_error(web: Web) -> None:
    web.answer = TokenRegistry(web)
    with pytest.raises(UpstreamError, match="does not accept our credentials"):
        registry_at(web, account=PasswordAccount("me", "wrong")).find(IMAGE)


def test_a_registry_that_wants_credentials_of_nobody_says_so(web: Web) -> None:
    web.answer = answers(401)
    with pytest.raises(UpstreamError, match="asks for credentials; we have none"):
        registry_at(web).find(IMAGE)


def refuses_tokens(web: Web) -> Callable[[Reply], None]:
    """A registry that gives out tokens and accepts none, as some do for what does not exist."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{web.url}/token"'}

    def answer(reply: Reply) -> None:
        reply.send(200, b'{"token": "t"}') if reply.path.startswith("/token") else reply.send(401, headers=challenge)

    return answer


def test_401_to_a_token_means_missing_where_that_is_configured(web: Web) -> None:
    web.answer = refuses_tokens(web)
    assert registry_at(web, missing_on_401=True).find(IMAGE) == ImageMissing()
    with pytest.raises(UpstreamError):
        registry_at(web).find(IMAGE)


def test_401_to_a_password_never_means_missing(web: Web) -> None:
    web.answer = answers(401)
    with pytest.raises(UpstreamError, match="does not accept our credentials"):
        registry_at(web, missing_on_401=True, account=ME).find(IMAGE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"token": null}',
        b'{"token": 1}',
        b'{"token": "a\\nb"}',
        b'{"token": "a", "expires_in": "soon"}',
        b'{"token": "a", "expires_in": Infinity}',
        b'{"token": "%s"}' % (b"a" * 20_000),
    ],
    ids=lambda body: body.decode()[:30],
)
def test_an_answer_that_is_no_token_is_an_error(web: Web, body: bytes) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{web.url}/token"'}

    def answer(reply: Reply) -> None:
        reply.send(200, body) if reply.path.startswith("/token") else reply.send(401, headers=challenge)

    web.answer = answer
    with pytest.raises(UpstreamError, match="gave a token that is none|not JSON"):
        registry_at(web).find(IMAGE)


@pytest.mark.parametrize(("status", "error"), [(500, UpstreamError), (403, UpstreamError), (429, RateLimited)])
def test_a_registry_that_cannot_tell_is_an_error(web: Web, status: int, error: type[Exception]) -> None:
    web.answer = answers(status)
    with pytest.raises(error):
        registry_at(web).find(IMAGE)


def test_what_was_found_is_remembered_for_a_while(web: Web) -> None:
    now = [0.0]
    registry = registry_at(web, clock=lambda: now[0])
    web.answer = answers(200, 404, headers={"Docker-Content-Digest": DIGEST})
    assert registry.find(IMAGE) == registry.find(IMAGE) == ImageFound(DIGEST)
    now[0] = 600.0
    assert registry.find(IMAGE) == ImageMissing()
    assert len(web.seen) == 2


def test_what_is_missing_is_looked_up_again(web: Web) -> None:
    registry = registry_at(web)
    web.answer = answers(404, 200, headers={"Docker-Content-Digest": DIGEST})
    assert [registry.find(IMAGE), registry.find(IMAGE)] == [ImageMissing(), ImageFound(DIGEST)]


def test_who_must_be_sure_is_not_told_what_was_true_before(web: Web) -> None:
    registry = registry_at(web)
    web.answer = answers(200, 404, headers={"Docker-Content-Digest": DIGEST})
    registry.find(IMAGE)
    assert registry.find(IMAGE, fresh=True) == registry.find(IMAGE) == ImageMissing()


def test_a_workshop_asks_once_for_its_image(web: Web) -> None:
    registry = registry_at(web)
    asked, answered = Event(), Event()

    def answer(reply: Reply) -> None:
        asked.set()
        assert answered.wait(20)
        reply.send(200, headers={"Docker-Content-Digest": DIGEST})

    web.answer = answer
    found: list[object] = []
    people = [Thread(target=lambda: found.append(registry.find(IMAGE))) for _ in range(50)]
    for person in people:
        person.start()
    assert asked.wait(20)
    answered.set()
    for person in people:
        person.join()
    assert (found, len(web.seen)) == ([ImageFound(DIGEST)] * 50, 1)


class GoogleRegistry:
    """Deletes no manifest that has a tag; what it holds is one image, by its tag and by its digest."""

    def __init__(self, *, digest: str = DIGEST) -> None:
        self.tags, self.manifests = {"1": digest}, {DIGEST, digest}

    def __call__(self, reply: Reply) -> None:
        reference = reply.path.rpartition("/")[2]
        digest = self.tags.get(reference, reference)
        if reply.command != "DELETE":
            there = digest in self.manifests
            return reply.send(200 if there else 404, headers={"Docker-Content-Digest": digest} if there else None)
        if self.tags.pop(reference, None):
            return reply.send(202)
        if reference in self.tags.values():
            error = {"code": "GOOGLE_MANIFEST_DANGLING_TAG", "message": "Manifest is still referenced by tag: 1"}
            return reply.send(400, json.dumps({"errors": [error]}).encode())
        self.manifests.discard(reference)
        return reply.send(202)


def test_a_registry_that_wants_tags_deleted_first_has_its_way(web: Web) -> None:
    web.answer = google = GoogleRegistry()
    registry = registry_at(web)
    assert registry.find(IMAGE) == ImageFound(DIGEST)
    assert registry.delete(IMAGE, DIGEST)
    assert (google.tags, google.manifests) == ({}, set())
    assert registry.find(IMAGE) == ImageMissing()


def test_the_tag_of_a_newer_image_stays(web: Web) -> None:
    newer = "sha256:" + "1" * 64
    web.answer = google = GoogleRegistry(digest=newer)
    google.tags["other"] = DIGEST
    assert not registry_at(web).delete(IMAGE, DIGEST)
    assert google.tags == {"1": newer, "other": DIGEST}


def test_another_refusal_deletes_no_tag(web: Web) -> None:
    web.answer = answers(400, body=b'{"errors": [{"code": "UNSUPPORTED"}]}')
    assert not registry_at(web).delete(IMAGE, DIGEST)
    assert [seen.method for seen in web.seen] == ["DELETE"]
