"""Whether an image is in a registry, by the OCI distribution API.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#checking-if-content-exists-in-the-registry
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from functions.adapters.http import Answer, HttpClient
from functions.adapters.registry_login import Account, Headers, Login, PasswordAccount, bearer_challenge
from functions.core.errors import UpstreamError
from functions.core.names import DIGEST, ImageName, parse_image
from functions.core.ports import ImageFound, ImageMissing
from functions.state.expiring import Expiring, Flights

_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_DOCKER_HUB = "registry-1.docker.io"
# An image under a tag of ours never changes, but somebody may delete it.
_FOUND_S = 600.0
_MOST_FOUND = 5000
_DELETED = (200, 202, 204, 404)
_NOT_PERMITTED = (400, 401, 403, 405, 501)
# Google's code for a manifest that still has a tag: https://github.com/genuinetools/reg/issues/136
_HAS_TAG = b"GOOGLE_MANIFEST_DANGLING_TAG"


def api_url(url: str) -> str:
    """The address of the API of the registry that people call *url*: Docker Hub's is on another host than its name."""
    parts = urlsplit(url)
    if parts.hostname in ("docker.io", "index.docker.io", _DOCKER_HUB):
        return f"https://{_DOCKER_HUB}"
    return url.rstrip("/").removesuffix("/v2")


class OCIRegistry:
    """The registry behind *client*, whose base address is an `api_url`.

    *missing_on_401* is for registries that answer 401, although they have given us a token, for images which do not
    exist; Docker Hub is known to. What was found is remembered for ten minutes.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        account: Account | None = None,
        missing_on_401: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._login = Login(client, account or PasswordAccount(), clock=clock)
        self._missing_on_401 = missing_on_401 or urlsplit(client.base_url).hostname == _DOCKER_HUB
        self._found: Expiring[str, ImageFound] = Expiring(most=_MOST_FOUND, clock=clock)
        self._flights: Flights[str, ImageFound | ImageMissing] = Flights()

    def find(self, image: str, *, fresh: bool = False) -> ImageFound | ImageMissing:
        name = parse_image(image)
        if fresh:
            return self._look_up(image, name)
        # Whoever leads a flight may have missed the end of the last one.
        return self._found.get(image) or self._flights.join(
            image, lambda: self._found.get(image) or self._look_up(image, name)
        )

    def delete(self, image: str, digest: str) -> bool:
        """https://github.com/opencontainers/distribution-spec/blob/main/spec.md#deleting-manifests"""
        tag = parse_image(image)
        manifest = replace(tag, reference=digest)
        answer = self._delete(manifest)
        # The specification lets a manifest take its tags along. Google's registries want them to be deleted before.
        if answer.status == 400 and _HAS_TAG in answer.body and self.find(image, fresh=True) == ImageFound(digest):
            self._delete(tag)
            answer = self._delete(manifest)
        gone = answer.status in _DELETED
        if gone:
            self._found.drop(image)
        return gone

    def _delete(self, name: ImageName) -> Answer:
        answer = self._ask_to_delete(name, self._login.headers(name.repository))
        challenge = bearer_challenge(answer.headers.get("WWW-Authenticate", "")) if answer.status == 401 else None
        if challenge is not None and self._login.is_registry(answer.url):
            # Not kept: it is for deleting, and the next look-up wants one for reading.
            answer = self._ask_to_delete(name, self._login.token(name.repository, challenge, keep=False))
        return answer

    def _ask_to_delete(self, name: ImageName, headers: Headers) -> Answer:
        path = f"v2/{name.repository}/manifests/{name.reference}"
        return self._client.request("DELETE", path, headers=headers, expect=(*_DELETED, *_NOT_PERMITTED))

    def _look_up(self, image: str, name: ImageName) -> ImageFound | ImageMissing:
        answer = self._manifest("HEAD", name)
        if answer.status != 200:
            self._found.drop(image)
            return ImageMissing()
        digest = answer.headers.get("Docker-Content-Digest", "")
        found = ImageFound(digest if DIGEST.fullmatch(digest) else self._computed_digest(name))
        self._found.put(image, found, life_s=_FOUND_S)
        return found

    def _computed_digest(self, name: ImageName) -> str:
        answer = self._manifest("GET", name)
        # Not a page that a proxy in front of the registry shows to everybody.
        if answer.status != 200 or b'"schemaVersion"' not in answer.body:
            raise UpstreamError(self._client.service, "has an image, but no manifest of it.")
        return "sha256:" + hashlib.sha256(answer.body).hexdigest()

    def _manifest(self, method: str, name: ImageName) -> Answer:
        """The answer to the best credentials that we can get: 200, or 404 or 401 for an image that is missing."""
        answer = self._ask(method, name, headers := self._login.headers(name.repository))
        challenge = bearer_challenge(answer.headers.get("WWW-Authenticate", "")) if answer.status == 401 else None
        if challenge is not None and self._login.is_registry(answer.url):
            answer = self._ask(method, name, headers := self._login.token(name.repository, challenge))
        has_token = headers.get("Authorization", "").startswith("Bearer ") and self._login.is_registry(answer.url)
        if answer.status == 401 and not (self._missing_on_401 and has_token):
            raise self._login.refusal()
        return answer

    def _ask(self, method: str, name: ImageName, headers: Headers) -> Answer:
        path = f"v2/{name.repository}/manifests/{name.reference}"
        accepting = {"Accept": _MANIFESTS, **headers}
        return self._client.request(method, path, headers=accepting, expect=(200, 401, 404), follow=2)
