"""A registry spoken to by the OCI distribution protocol, over plain HTTP with Basic authentication.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import urllib3

from emulator.images.errors import ImageError
from emulator.images.manifest import MANIFEST_TYPE, Descriptor, digest_of
from emulator.images.reference import DIGEST, Reference
from emulator.images.tree import BLOCK_BYTES

_MANIFEST_LIMIT_BYTES = 4 << 20
_TIMEOUT = urllib3.Timeout(connect=10, read=60)


class RegistryClient:
    """One registry (`host:port`), and the credentials (`user:password`) to speak to it. Close it after use."""

    def __init__(self, registry: str, credentials: str) -> None:
        self.registry = registry
        headers = urllib3.make_headers(basic_auth=credentials) if credentials else {}
        self._http = urllib3.PoolManager(headers=headers, retries=False, timeout=_TIMEOUT, maxsize=4)

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.clear()

    def manifest(self, reference: Reference) -> tuple[bytes, str]:
        """The manifest and its digest. An image that is not there is an ImageError that says `missing`."""
        path = f"{reference.repository}/manifests/{reference.version}"
        with self._request("GET", path, headers={"Accept": MANIFEST_TYPE}) as response:
            if response.status == 404:
                raise ImageError(f"There is no image {reference}.", missing=True)
            self._expect(response, 200, reference.repository)
            content: bytes = response.read(_MANIFEST_LIMIT_BYTES)
        digest = digest_of(content)
        if DIGEST.fullmatch(reference.version) and reference.version != digest:
            raise ImageError(f"The registry sent another manifest than {reference}.")
        return content, digest

    def put_manifest(self, reference: Reference, content: bytes) -> str:
        """Store the manifest under the reference's tag; its digest."""
        path = f"{reference.repository}/manifests/{reference.version}"
        with self._request("PUT", path, body=content, headers={"Content-Type": MANIFEST_TYPE}) as response:
            self._expect(response, 201, reference.repository)
        return digest_of(content)

    def has_blob(self, repository: str, digest: str) -> bool:
        with self._request("HEAD", f"{repository}/blobs/{digest}") as response:
            if response.status != 404:
                self._expect(response, 200, repository)
            return bool(response.status == 200)

    def blob(self, repository: str, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob as they arrive. Reading to the end verifies length and digest."""
        seen, length = hashlib.sha256(), 0
        with self._request("GET", f"{repository}/blobs/{descriptor.digest}") as response:
            self._expect(response, 200, repository)
            for block in _blocks(response):
                seen.update(block)
                length += len(block)
                if length > descriptor.size:
                    break
                yield block
        if length != descriptor.size or f"sha256:{seen.hexdigest()}" != descriptor.digest:
            raise ImageError(f"The registry sent other content than {descriptor.digest}.")

    def put_blob(self, repository: str, descriptor: Descriptor, blocks: Iterable[bytes]) -> None:
        """Upload a blob that the registry does not have, without holding it in memory."""
        with self._request("POST", f"{repository}/blobs/uploads/") as response:
            self._expect(response, 202, repository)
            location = urljoin(self._url(""), response.headers["Location"])
        address = f"{location}{'&' if '?' in location else '?'}digest={descriptor.digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
        with self._request("PUT", address, body=blocks, headers=headers) as response:
            self._expect(response, 201, repository)

    def mount_blob(self, repository: str, digest: str, *, source: str) -> bool:
        """Take a blob over from another repository of this registry; false when the registry does not do that."""
        with self._request("POST", f"{repository}/blobs/uploads/?mount={digest}&from={source}") as response:
            if response.status not in (201, 202):
                self._expect(response, 201, repository)
            return bool(response.status == 201)

    def _url(self, path: str) -> str:
        return f"http://{self.registry}/v2/{path}"

    @contextmanager
    def _request(self, method: str, path: str, **how: Any) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {**self._http.headers, **how.pop("headers", {})}
        url = path if path.startswith("http://") else self._url(path)
        try:
            response = self._http.request(method, url, headers=headers, preload_content=False, **how)
            try:
                yield response
            finally:
                response.drain_conn() if method == "HEAD" else response.close()
        except urllib3.exceptions.HTTPError as error:
            raise ImageError(f"The registry {self.registry} does not answer.", passing=True) from error

    def _expect(self, response: urllib3.BaseHTTPResponse, status: int, repository: str) -> None:
        if response.status in (401, 403):
            raise ImageError(f"The registry {self.registry} refuses our credentials for {repository}.")
        if response.status != status:
            detail = response.read(500).decode(errors="replace").strip()
            words = f"The registry {self.registry} answered {response.status} for {repository}. {detail}"
            raise ImageError(words, passing=response.status >= 500)


def _blocks(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    while block := response.read(BLOCK_BYTES):
        yield block
