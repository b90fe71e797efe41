"""Signing in: what registries ask for, and what they cannot make us do."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.adapters.http import ONCE, HttpClient
from functions.adapters.registry import OCIRegistry, api_url
from functions.adapters.registry_login import (
    Account,
    Challenge,
    GoogleAccount,
    PasswordAccount,
    bearer_challenge,
    is_googles,
)
from functions.core.errors import UpstreamError
from functions.core.ports import ImageFound, ImageMissing
from tests.fakes.routes import Routes
from tests.fakes.web import Reply, Web

METADATA_URL = "http://metadata.google.internal"
DIGEST = "sha256:" + "0" * 64
ME = PasswordAccount("me", "secret")
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


class Internet:
    """A registry that sends whoever has no token to *realm*, which gives one to everybody. Both are on one server."""

    def __init__(self, web: Web, registry: str, challenge: str) -> None:
        realm = bearer_challenge(challenge)
        origins = {registry, METADATA_URL, *([origin(realm.realm)] if realm else [])}
        self.routes = Routes(dict.fromkeys(origins, web.url))
        self.challenge, self.registry, self.web = challenge, registry, web
        self.images: bool = True
        web.answer = self.answer

    def answer(self, reply: Reply) -> None:
        if reply.path.startswith("/computeMetadata/"):
            is_ours = reply.headers.get("Metadata-Flavor") == "Google"
            body = {"access_token": "ya29.access", "expires_in": 3599, "token_type": "Bearer"}
            return reply.send(200 if is_ours else 403, json.dumps(body).encode())
        if not reply.path.startswith("/v2/team/"):
            return reply.send(200, b'{"token": "t", "expires_in": 300}')
        if reply.headers.get("Authorization") != "Bearer t" or not self.images:
            return reply.send(401, headers={"WWW-Authenticate": self.challenge})
        reply.send(200, headers={"Docker-Content-Digest": DIGEST})

    def client(self, url: str, service: str = "The registry") -> HttpClient:
        return HttpClient(service, url, retry=ONCE, pool=self.routes)

    def find(self, account: Account | None = None, **options: Any) -> ImageFound | ImageMissing:
        registry = OCIRegistry(self.client(self.registry), account=account, **options)
        return registry.find("team/name:1")

    def google(self) -> GoogleAccount:
        return GoogleAccount(self.client(METADATA_URL, "The metadata server"), clock=lambda: 0.0)

    def shown(self) -> dict[str, str]:
        """The Authorization header that each kind of address saw first."""
        seen: dict[str, str] = {}
        for url, request in zip(self.routes.asked, self.web.seen, strict=True):
            seen.setdefault(origin(url) + urlsplit(url).path, request.headers.get("authorization", ""))
        return seen


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


REGISTRIES = {
    "https://ghcr.io": 'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:team/name:pull"',
    "https://quay.io": 'Bearer realm="https://quay.io/v2/auth",service="quay.io",scope="repository:team/name:pull"',
    "https://team.azurecr.io": 'Bearer realm="https://team.azurecr.io/oauth2/token",service="team.azurecr.io",'
    'scope="repository:team/name:pull"',
    "https://registry.gitlab.com": 'Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",'
    'scope="repository:team/name:pull"',
    "https://registry.example.org": 'bearer Realm="https://sso.example.org/token?tenant=a&scope=all"',
    "http://registry.local:5000": 'Basic realm="x", Bearer realm="http://registry.local:5001/token",service=local',
}


@pytest.mark.parametrize("registry", REGISTRIES)
@pytest.mark.parametrize(("account", "basic"), [(None, ""), (ME, BASIC)], ids=["anonymous", "password"])
def test_a_token_is_had_from_where_the_registry_says(
    web: Web, registry: str, account: Account | None, basic: str
) -> None:
    internet = Internet(web, registry, REGISTRIES[registry])
    assert internet.find(account) == ImageFound(DIGEST)
    assert [request.headers.get("authorization", "") for request in web.seen] == [basic, basic, "Bearer t"]
    query = parse_qs(urlsplit(internet.routes.asked[1]).query)
    assert query.get("scope") in (["repository:team/name:pull"], ["all"])
    assert len(query.get("service", [])) == ("service" in REGISTRIES[registry])


@pytest.mark.parametrize("url", ["https://docker.io", "https://index.docker.io/v1/", "https://registry-1.docker.io"])
def test_docker_hub_is_known_and_its_registry_sees_no_password(web: Web, url: str) -> None:
    challenge = 'Bearer realm="https://auth.docker.io/token"'
    internet = Internet(web, api_url(url), challenge)
    assert internet.find(ME) == ImageFound(DIGEST)
    assert internet.shown() == {
        "https://auth.docker.io/token": BASIC,
        "https://registry-1.docker.io/v2/team/name/manifests/1": "Bearer t",
    }
    assert parse_qs(urlsplit(internet.routes.asked[0]).query) == {
        "service": ["registry.docker.io"],
        "scope": ["repository:team/name:pull"],
    }


def test_docker_hub_refuses_even_a_token_for_an_image_that_does_not_exist(web: Web) -> None:
    challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
    internet = Internet(web, api_url("https://docker.io"), challenge)
    internet.images = False
    assert internet.find() == ImageMissing()


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://quay.io", "https://quay.io"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("https://example.org/registry/v2/", "https://example.org/registry"),
    ],
)
def test_other_registries_are_where_they_are_called(url: str, api: str) -> None:
    assert api_url(url) == api


ARTIFACTS = "https://europe-docker.pkg.dev"


def test_a_service_account_is_presented_by_the_token_of_the_metadata_server(web: Web) -> None:
    challenge = f'Bearer realm="{ARTIFACTS}/token",service="europe-docker.pkg.dev",scope="repository:team/name:pull"'
    internet = Internet(web, ARTIFACTS, challenge)
    assert internet.find(internet.google()) == ImageFound(DIGEST)
    account = "Basic " + base64.b64encode(b"oauth2accesstoken:ya29.access").decode()
    assert internet.shown() == {
        f"{METADATA_URL}/computeMetadata/v1/instance/service-accounts/default/token": "",
        f"{ARTIFACTS}/v2/team/name/manifests/1": account,
        f"{ARTIFACTS}/token": account,
    }


def test_an_access_token_is_asked_for_again_when_it_has_ended(web: Web) -> None:
    now = [0.0]
    web.answer = lambda reply: reply.send(200, b'{"access_token": "a", "expires_in": 3599}')
    account = GoogleAccount(HttpClient("The metadata server", web.url), clock=lambda: now[0])
    for now[0] in (0.0, 3588.0, 3589.0):
        account.headers()
    assert len(web.seen) == 2


def test_without_a_metadata_server_the_trouble_has_its_name(web: Web) -> None:
    web.answer = lambda reply: reply.send(404)
    account = GoogleAccount(HttpClient("The metadata server", web.url, retry=ONCE), clock=lambda: 0.0)
    with pytest.raises(UpstreamError, match="The metadata server answered 404"):
        OCIRegistry(HttpClient("The registry", "https://gcr.io"), account=account).find("gcr.io/a:1")


@pytest.mark.parametrize(
    ("url", "googles"),
    [
        ("https://europe-docker.pkg.dev", True),
        ("https://eu.gcr.io", True),
        ("https://gcr.io", True),
        ("https://gcr.io:443", True),
        ("http://europe-docker.pkg.dev", False),
        ("https://evilgcr.io", False),
        ("https://gcr.io.example.org", False),
        ("https://gcr.io@example.org", False),
    ],
)
def test_a_service_account_is_presented_to_google_only(url: str, googles: bool) -> None:
    assert is_googles(url) == googles


ELSEWHERE = "https://evil.example.com/token"


@pytest.mark.parametrize(
    ("registry", "realm", "account"),
    [
        ("https://r.example.org", "http://r.example.org/token", "password"),
        ("https://r.example.org", "http://evil.example.com/token", "password"),
        ("https://r.example.org", "http://evil.example.com/token", "nobody"),
        ("http://r.example.org", "http://169.254.169.254/latest/token", "nobody"),
        ("http://r.example.org", "http://metadata.google.internal/computeMetadata/v1/token", "password"),
        ("https://r.example.org", "https://r.example.org@evil.example.com/token", "google"),
        (ARTIFACTS, ELSEWHERE, "google"),
        ("https://r.example.org", "https:///token", "password"),
        ("https://r.example.org", "https://[r.example.org/token", "password"),
        ("https://r.example.org", "file:///etc/passwd", "password"),
    ],
)
def test_a_sign_in_that_is_not_safe_is_not_asked(web: Web, registry: str, realm: str, account: str) -> None:
    internet = Internet(web, registry, "")
    internet.challenge = f'Bearer realm="{realm}"'
    accounts: dict[str, Account | None] = {"password": ME, "google": internet.google(), "nobody": None}
    with pytest.raises(UpstreamError, match="sends us to a sign-in that is not safe"):
        internet.find(accounts[account])
    assert {origin(url) for url in internet.routes.asked} <= {registry, METADATA_URL}


def test_a_host_that_the_registry_redirects_to_cannot_ask_for_credentials(web: Web) -> None:
    """Storage, for example, where others may write."""
    internet = Internet(web, "https://r.example.org", f'Bearer realm="{ELSEWHERE}"')
    internet.routes = Routes({"https://r.example.org": web.url, "https://storage.example.com": web.url})
    targets = {"/v2/team/name/manifests/1": "https://storage.example.com/blob"}

    def answer(reply: Reply) -> None:
        if reply.path in targets:
            return reply.send(307, headers={"Location": targets[reply.path]})
        reply.send(401, headers={"WWW-Authenticate": internet.challenge})

    web.answer = answer
    with pytest.raises(UpstreamError, match="does not accept our credentials"):
        internet.find(ME)
    assert [request.headers.get("authorization", "") for request in web.seen] == [BASIC, ""]


def test_a_host_that_the_registry_redirects_to_cannot_say_that_an_image_is_missing(web: Web) -> None:
    """By 401; it has not been shown our token."""
    internet = Internet(web, "https://r.example.org", 'Bearer realm="https://r.example.org/token"')
    internet.routes = Routes({"https://r.example.org": web.url, "https://storage.example.com": web.url})

    def answer(reply: Reply) -> None:
        if reply.headers.get("Authorization") == "Bearer t":
            return reply.send(307, headers={"Location": "https://storage.example.com/v2/team/blob"})
        internet.answer(reply)

    web.answer = answer
    with pytest.raises(UpstreamError, match="does not accept our credentials"):
        internet.find(ME, missing_on_401=True)


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ('Bearer realm="https://a/t",service="s",scope="x y"', Challenge("https://a/t", "s", "x y")),
        ('Bearer realm="https://a/t"', Challenge("https://a/t")),
        ("bearer REALM=https://a/t, Service=s", Challenge("https://a/t", "s")),
        ('Basic realm="b", Bearer realm="https://a/t"', Challenge("https://a/t")),
        ('Bearer realm="https://a/t", Basic realm="b", scope="x"', Challenge("https://a/t")),
        ('Bearer realm="https://a/t",error="invalid_token"', Challenge("https://a/t")),
        ('Bearer realm="https://a/t",realm="https://b/t"', Challenge("https://a/t")),
        ("Negotiate, Bearer realm=https://a/t", Challenge("https://a/t")),
        ('Basic realm="Bearer realm=https://b/t"', None),
        ("Bearer", None),
        ("", None),
        ('Bearer service="x"', None),
        ("Bearer realm=", None),
        ("'", None),
        ("Bearer " + "a" * 100_000, None),
        ('Bearer a="' * 10_000, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_challenge_is_read(header: str, challenge: Challenge | None) -> None:
    assert bearer_challenge(header) == challenge


def test_a_password_is_not_printed() -> None:
    assert "secret" not in repr(ME)
