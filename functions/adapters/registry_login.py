"""Signing in at a registry: as whom, and by the token that it sends us to get.

A registry decides where we present ourselves: it answers 401 and names a token service, its *realm*. What it can make
us do is limited:

* Over plain HTTP we follow it to its own host only, and only if it is spoken to over plain HTTP itself.
* A user name and password are shown to any realm with TLS, as container engines do: Docker Hub and GitLab have theirs
  on another host. The access token of a service account opens more than a registry; it stays on the registry's host.
* What another host says, to which the registry has redirected us, is no challenge.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

from functions.adapters.http import HttpClient
from functions.core.errors import UpstreamError
from functions.state.expiring import Expiring, Flights

_METADATA_PATH = "computeMetadata/v1/instance/service-accounts/default/token"
# https://distribution.github.io/distribution/spec/auth/token/#token-response-fields
_DEFAULT_LIFE_S = 60
# For the requests that are on their way when a token ends.
_MARGIN_S = 10
_MOST_TOKENS = 1000
_MOST_BYTES = 64 * 1024
# https://datatracker.ietf.org/doc/html/rfc6750#section-2.1
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}")
# A parameter of a challenge, or the scheme that begins one: https://datatracker.ietf.org/doc/html/rfc9110#section-11.6.1
_CHALLENGE = re.compile(r'\b([A-Za-z]+)=(?:"([^"]*)"|([^\s,"]+))|\b([A-Za-z]+)(?=\s|,|$)')

Headers = Mapping[str, str]


class Account(Protocol):
    """Who we are to a registry. `travels`: whether a token service on another host may see our password."""

    travels: ClassVar[bool]

    def headers(self) -> Headers:
        """The Authorization header by which we present ourselves; no header for nobody."""
        ...


@dataclass(frozen=True, slots=True)
class PasswordAccount:
    """A user name and password; without a user name we are anonymous."""

    username: str = ""
    password: str = field(default="", repr=False)
    travels: ClassVar[bool] = True

    def headers(self) -> Headers:
        return _basic(self.username, self.password) if self.username else {}


class GoogleAccount:
    """The service account of this machine, by the access token that the metadata server behind *client* gives.

    https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
    https://cloud.google.com/artifact-registry/docs/docker/authentication#token
    """

    travels: ClassVar[bool] = False

    def __init__(self, client: HttpClient, *, clock: Callable[[], float]) -> None:
        self._client = client
        self._kept: Expiring[str, Headers] = Expiring(most=1, clock=clock)
        self._flights: Flights[str, Headers] = Flights()

    def headers(self) -> Headers:
        return self._kept.get("") or self._flights.join("", lambda: self._kept.get("") or self._fetched())

    def _fetched(self) -> Headers:
        answer = self._client.request("GET", _METADATA_PATH, headers={"Metadata-Flavor": "Google"})
        token, life_s = _token(self._client.service, answer.json())
        headers = _basic("oauth2accesstoken", token)
        self._kept.put("", headers, life_s=life_s)
        return headers


@dataclass(frozen=True, slots=True)
class Challenge:
    """Where a registry sends us for a token, and what it should say; empty is not said."""

    realm: str
    service: str = ""
    scope: str = ""


# Asked before the registry, which then never sees a password: https://docs.docker.com/reference/api/registry/auth/
_KNOWN = {"registry-1.docker.io": Challenge("https://auth.docker.io/token", service="registry.docker.io")}


def bearer_challenge(header: str) -> Challenge | None:
    """The Bearer challenge in a WWW-Authenticate header, which may hold others; None without one or its realm."""
    scheme = ""
    found: dict[str, str] = {}
    for name, quoted, bare, new_scheme in _CHALLENGE.findall(header):
        scheme = new_scheme.lower() or scheme
        if name and scheme == "bearer":
            found.setdefault(name.lower(), quoted or bare)
    if not found.get("realm"):
        return None
    return Challenge(found["realm"], service=found.get("service", ""), scope=found.get("scope", ""))


class Login:
    """*account*, signed in at the registry behind *client*. Tokens for reading are kept, one a repository."""

    def __init__(self, client: HttpClient, account: Account, *, clock: Callable[[], float]) -> None:
        self._client = client
        self._account = account
        self._tokens: Expiring[str, Headers] = Expiring(most=_MOST_TOKENS, clock=clock)
        self._registry = urlsplit(client.base_url)
        self._known = _KNOWN.get(self._registry.hostname or "")

    def headers(self, repository: str) -> Headers:
        """The best that we have for a first request: a token, else the account's own."""
        token = self._tokens.get(repository)
        if token is None and self._known is not None:
            return self.token(repository, self._known)
        return token or self._account.headers()

    def is_registry(self, url: str) -> bool:
        """Whether *url* is the registry's own, not of a host that it redirects to."""
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc) == (self._registry.scheme, self._registry.netloc)

    def token(self, repository: str, challenge: Challenge, *, keep: bool = True) -> Headers:
        """A new token, to *keep* for the next request. Raises UpstreamError when the token service refuses us, or is
        none to be asked."""
        url = self._token_url(repository, challenge)
        headers = self._account.headers()
        answer = self._client.request("GET", url, headers=headers, expect=(200, 401, 403), max_bytes=_MOST_BYTES)
        if answer.status != 200:
            raise self.refusal()
        token, life_s = _token(self._client.service, answer.json())
        bearer = {"Authorization": f"Bearer {token}"}
        if keep:
            self._tokens.put(repository, bearer, life_s=life_s)
        return bearer

    def refusal(self) -> UpstreamError:
        """What to raise when we are not let in."""
        known = bool(self._account.headers())
        return UpstreamError(
            self._client.service, "does not accept our credentials." if known else "asks for credentials; we have none."
        )

    def _token_url(self, repository: str, challenge: Challenge) -> str:
        try:
            realm = urlsplit(challenge.realm)
            trusted = self._trusts(realm.scheme, realm.hostname or "")
        except ValueError:
            trusted = False
        if not trusted:
            raise UpstreamError(
                self._client.service, f"sends us to a sign-in that is not safe: {challenge.realm[:100]}"
            )
        ours = {"scope": challenge.scope or f"repository:{repository}:pull", "service": challenge.service}
        there = parse_qs(realm.query)
        query = urlencode({name: value for name, value in ours.items() if value and name not in there})
        return realm._replace(query="&".join(filter(None, (realm.query, query))), fragment="").geturl()

    def _trusts(self, scheme: str, host: str) -> bool:
        if host == self._registry.hostname:
            return scheme in ("https", self._registry.scheme)
        return scheme == "https" and bool(host) and self._account.travels


def is_googles(url: str) -> bool:
    """Whether *url* is of Artifact Registry or Container Registry, where a service account may show its token."""
    parts = urlsplit(url)
    return parts.scheme == "https" and f".{parts.hostname}".endswith((".gcr.io", ".pkg.dev"))


def _basic(username: str, password: str) -> Headers:
    return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


def _token(service: str, body: Any) -> tuple[str, float]:
    """The token in a token service's answer, and for how many seconds it is good."""
    try:
        token = body.get("token") or body.get("access_token")
        life_s = int(body.get("expires_in") or _DEFAULT_LIFE_S) - _MARGIN_S
        if not _TOKEN.fullmatch(token):
            raise ValueError("characters that no token has")
    except (AttributeError, ArithmeticError, TypeError, ValueError) as error:
        raise UpstreamError(service, "gave a token that is none.") from error
    return token, float(life_s)
