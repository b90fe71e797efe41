"""Whether an image is in a registry, by the OCI distribution API.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#checking-if-content-exists-in-the-registry
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from functions.adapters.http import Answer, HttpClient
from functions.core.errors import UpstreamError
from functions.core.ports import ImageFound, ImageMissing

_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_REFERENCE = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,127}}|{_DIGEST.pattern}")
# https://datatracker.ietf.org/doc/html/rfc6750#section-2.1
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"')
# https://distribution.github.io/distribution/spec/auth/token/#token-response-fields
_DEFAULT_LIFE_S = 60


@dataclass(frozen=True, slots=True)
class ImageName:
    """`host/repository:reference`; the host is empty for a name without one."""

    host: str
    repository: str
    reference: str


def parse_image(image: str) -> ImageName:
    """Split an image name as container engines do: a first part with a dot or port, or localhost, is a host.

    Raises ValueError for a name that no image can have; what is left becomes part of an address.
    """
    first, slash, rest = image.partition("/")
    is_host = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    host, path = (first, rest) if is_host else ("", image)
    path, at, digest = path.partition("@")
    repository, _, tag = path.partition(":")
    name = ImageName(host, repository, digest if at else tag or "latest")
    if not (_REPOSITORY.fullmatch(name.repository) and _REFERENCE.fullmatch(name.reference)):
        raise ValueError(f"no image is called {image[:200]!r}")
    return name


class OCIRegistry:
    """The registry behind *client*, whose base address is that of the API without /v2.

    With *username* it authenticates by HTTP Basic, or gets the token that the registry asks for. *missing_on_401* is
    for registries that answer 401 for images which do not exist.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        username: str = "",
        password: str = "",
        missing_on_401: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._basic = {"Authorization": f"Basic {credentials}"} if username else {}
        self._missing_on_401 = missing_on_401
        self._clock = clock
        # Repository -> Authorization header, and when it ends.
        self._tokens: dict[str, tuple[dict[str, str], float]] = {}

    def find(self, image: str) -> ImageFound | ImageMissing:
        name = parse_image(image)
        answer = self._manifest("HEAD", name)
        if answer.status == 200:
            digest = answer.headers.get("Docker-Content-Digest", "")
            return ImageFound(digest if _DIGEST.fullmatch(digest) else self._computed_digest(name))
        if answer.status == 404 or self._missing_on_401:
            return ImageMissing()
        raise UpstreamError(self._client.service, "does not accept our credentials.")

    def _computed_digest(self, name: ImageName) -> str:
        answer = self._manifest("GET", name)
        if answer.status != 200:
            raise UpstreamError(self._client.service, f"answered {answer.status} for an image that it has.")
        return "sha256:" + hashlib.sha256(answer.body).hexdigest()

    def _manifest(self, method: str, name: ImageName) -> Answer:
        """The answer, 200, 401 or 404, to the best credentials that we can get."""
        path = f"v2/{name.repository}/manifests/{name.reference}"

        def ask(authorization: Mapping[str, str]) -> Answer:
            headers = {"Accept": _MANIFESTS, **authorization}
            return self._client.request(method, path, headers=headers, expect=(200, 401, 404), follow=2)

        answer = ask(self._cached_token(name) or self._basic)
        if answer.status != 401:
            return answer
        self._tokens.pop(name.repository, None)
        challenge = _bearer_challenge(answer.headers.get("WWW-Authenticate", ""))
        return ask(self._fetched_token(name, challenge)) if challenge else answer

    def _cached_token(self, name: ImageName) -> Mapping[str, str] | None:
        token, ends = self._tokens.get(name.repository, ({}, 0.0))
        return token if self._clock() < ends else None

    def _fetched_token(self, name: ImageName, challenge: Mapping[str, str]) -> Mapping[str, str]:
        # https://distribution.github.io/distribution/spec/auth/token/
        query = {"scope": challenge.get("scope") or f"repository:{name.repository}:pull"}
        if "service" in challenge:
            query["service"] = challenge["service"]
        realm = challenge["realm"]
        url = realm + ("&" if urlsplit(realm).query else "?") + urlencode(query)
        answer = self._client.request("GET", url, headers=self._basic, expect=(200, 401, 403))
        if answer.status != 200:
            return self._basic
        try:
            return self._kept_token(name, answer.json())
        except (AttributeError, TypeError, ValueError) as error:
            raise UpstreamError(self._client.service, "gave a token that is none.") from error

    def _kept_token(self, name: ImageName, body: Mapping[str, Any]) -> Mapping[str, str]:
        text = body.get("token") or body.get("access_token")
        if not _TOKEN.fullmatch(text or ""):
            raise ValueError("not a token")
        token = {"Authorization": f"Bearer {text}"}
        # Ten seconds less, for the requests that are on their way when it ends.
        life_s = int(body.get("expires_in") or _DEFAULT_LIFE_S) - 10
        self._tokens[name.repository] = (token, self._clock() + life_s)
        return token


def _bearer_challenge(header: str) -> Mapping[str, str]:
    """The parameters of `Bearer realm="https://..."`; none for another scheme or a realm that is no address."""
    scheme, _, rest = header.partition(" ")
    parameters = dict(_CHALLENGE.findall(rest)) if scheme.lower() == "bearer" else {}
    return parameters if parameters.get("realm", "").startswith(("https://", "http://")) else {}
