"""A registry in memory that speaks as much of the OCI distribution protocol as pushing and pulling needs."""

from __future__ import annotations

import base64
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

CREDENTIALS = "builder:secret"


class OciRegistry:
    """Starts on entering. `blobs` and `manifests` can be looked at and tampered with; `uploads` counts blobs sent."""

    def __init__(self, *, mounts: bool = True) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.uploads: list[str] = []
        self.mounts = mounts
        registry = self

        class Handler(_Handler):
            store = registry

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> OciRegistry:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: OciRegistry

    def do_HEAD(self) -> None:
        self._look_up()

    def do_GET(self) -> None:
        self._look_up()

    def do_POST(self) -> None:
        repository, _, _ = self._path()
        query = parse_qs(urlsplit(self.path).query)
        source = (query.get("from", [""])[0], query.get("mount", [""])[0])
        if self.store.mounts and source in self.store.blobs:
            self.store.blobs[repository, source[1]] = self.store.blobs[source]
            return self._answer(201)
        self._answer(202, Location=f"/v2/{repository}/blobs/uploads/1")

    def do_PUT(self) -> None:
        repository, kind, name = self._path()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if kind == "manifests":
            self.store.manifests[repository, name] = self.store.manifests[repository, digest] = content
            return self._answer(201)
        wanted = parse_qs(urlsplit(self.path).query)["digest"][0]
        self.store.blobs[repository, digest] = content
        self.store.uploads.append(digest)
        self._answer(201 if wanted == digest else 400)

    def _look_up(self) -> None:
        repository, kind, name = self._path()
        expected = base64.b64encode(CREDENTIALS.encode()).decode()
        if self.headers["Authorization"] != f"Basic {expected}":
            return self._answer(401)
        content = (self.store.manifests if kind == "manifests" else self.store.blobs).get((repository, name))
        self._answer(404 if content is None else 200, content or b"")

    def _path(self) -> tuple[str, str, str]:
        repository, kind, name = urlsplit(self.path).path.removeprefix("/v2/").rsplit("/", 2)
        return repository.removesuffix("/blobs") if kind == "uploads" else repository, kind, name

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
