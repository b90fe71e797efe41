"""Debian's docker-registry, which is CNCF's Distribution, as a registry that judges our adapter.

https://distribution.github.io/distribution/about/configuration/
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import urllib3
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from tests.fakes.certificates import tls_for
from tests.fakes.web import Reply, Web, web_server
from tests.ports import free_port

USER, PASSWORD = "builder", "secret"
BASIC: Mapping[str, str] = urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}")
# bcrypt of PASSWORD, the only hash that the registry takes.
HTPASSWD = f"{USER}:$2y$05$binderlessRegistryTeseIK9QxRWa.acjVTHiwWGHnU.qsE0tRUa\n"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A running registry. *authorize* makes the header of somebody who may do *actions* in a repository."""

    url: str
    authorize: Callable[[str, str], Mapping[str, str]]

    def push_image(self, repository: str, tag: str, content: str = "") -> str:
        """Put an image that holds nothing into the registry, and return its digest."""
        manifest = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [], "annotations": {"content": content}}
        headers = {"Content-Type": _INDEX}
        answer = self._ask("PUT", repository, tag, headers=headers, body=json.dumps(manifest).encode())
        assert answer.status == 201, answer.data
        return answer.headers["Docker-Content-Digest"]

    def delete_image(self, repository: str, digest: str) -> None:
        answer = self._ask("DELETE", repository, digest)
        assert answer.status == 202, answer.data

    def _ask(
        self,
        method: str,
        repository: str,
        reference: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> urllib3.BaseHTTPResponse:
        headers = {**(headers or {}), **self.authorize(repository, "pull,push,delete")}
        with urllib3.PoolManager() as http:
            return http.request(method, f"{self.url}/v2/{repository}/manifests/{reference}", body=body, headers=headers)


@contextmanager
def anonymous(folder: Path) -> Iterator[Distribution]:
    """A registry that lets everybody do everything."""
    with _running(folder, auth={}) as url:
        yield Distribution(url, lambda repository, actions: {})


@contextmanager
def with_password(folder: Path) -> Iterator[Distribution]:
    """A registry that knows one user by HTTP Basic."""
    (folder / "htpasswd").write_text(HTPASSWD)
    with _running(folder, auth={"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}) as url:
        yield Distribution(url, lambda repository, actions: BASIC)


@contextmanager
def with_tokens(folder: Path) -> Iterator[Distribution]:
    """A registry that sends everybody to a token service, which knows one user."""
    with web_server() as web:
        service = TokenService(web, folder)
        auth = {
            "realm": f"{web.url}/token?tenant=tests",
            "service": service.audience,
            "issuer": service.issuer,
            "rootcertbundle": str(service.certificate),
        }
        with _running(folder, auth={"token": auth}) as url:
            yield Distribution(url, service.authorize)


class TokenService:
    """Gives tokens that the registry itself judges, to those who know the password.

    https://distribution.github.io/distribution/spec/auth/jwt/
    """

    audience, issuer = "tests-registry", "tests-issuer"

    def __init__(self, web: Web, folder: Path) -> None:
        tls_for("issuer.example.org", folder)
        self.certificate = folder / "issuer.example.org.pem"
        pem = self.certificate.read_bytes()
        self._key: Any = load_pem_private_key(pem, password=None)
        self._chain = [base64.b64encode(load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).decode()]
        web.answer = self._answer

    def token(self, repository: str, actions: str) -> str:
        now = int(time.time())
        access = {"type": "repository", "name": repository, "actions": actions.split(",")}
        who = {"iss": self.issuer, "sub": USER, "aud": self.audience, "jti": "1"}
        claims = {**who, "iat": now, "nbf": now - 10, "exp": now + 300, "access": [access]}
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"x5c": self._chain})

    def authorize(self, repository: str, actions: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token(repository, actions)}"}

    def _answer(self, reply: Reply) -> None:
        query = parse_qs(urlsplit(reply.path).query)
        if reply.headers.get("Authorization") != BASIC["authorization"] or query["service"] != [self.audience]:
            return reply.send(401)
        kind, repository, actions = query["scope"][0].split(":")
        if (kind, query["tenant"]) != ("repository", ["tests"]) or actions not in ("pull", "delete"):
            return reply.send(403)
        body = {"token": self.token(repository, actions), "expires_in": 300}
        reply.send(200, json.dumps(body).encode())


@contextmanager
def _running(folder: Path, *, auth: Mapping[str, Any]) -> Iterator[str]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("needs docker-registry")
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": {"addr": address, "secret": "of no use in tests"},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            _wait(f"http://{address}/", process, folder / "log")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    with urllib3.PoolManager() as http:
        while True:
            try:
                http.request("GET", url, retries=False)
                return
            except urllib3.exceptions.HTTPError:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
