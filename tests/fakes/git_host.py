"""Git repositories over smart HTTP on loopback: the real `git http-backend`, and what badly kept hosts make of it."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from functions.core.gitrefs import FLUSH, pkt_line
from tests.fakes.web import QuietServer

# What a test puts in the place of the backend; None leaves a request to it.
Rule = Callable[["Handler"], bool]


@dataclass
class GitHost:
    """`requests` are the request lines so far; `rule` may answer a request itself, by returning True."""

    url: str
    folder: Path
    requests: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    speaks_v2: bool = True
    rule: Rule = lambda handler: False


class Handler(BaseHTTPRequestHandler):
    host: GitHost

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.host.requests.append(f"{self.command} {self.path}")
        self.host.bodies.append(body)
        if not self.host.rule(self):
            self._backend(body)

    do_POST = do_GET

    def answer(self, status: int, body: bytes = b"", **headers: str) -> bool:
        """Answer for the backend; header names are written with `_` for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.host.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") if self.host.speaks_v2 else "",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environ, capture_output=True, check=False)
        if not done.stdout:
            self.answer(500)
            return
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        self.answer(status, content, **{name.replace("-", "_"): value for name, value in headers.items()})

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def git_host(folder: Path, *, tls: ssl.SSLContext | None = None) -> Iterator[GitHost]:
    """Serve the repositories in *folder*."""
    handler = type("BoundHandler", (Handler,), {})
    server = QuietServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    host = handler.host = GitHost(f"{scheme}://127.0.0.1:{server.server_port}", folder)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Repository:
    """A repository in a folder, driven with git itself."""

    path: Path

    def git(self, *arguments: str) -> str:
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(self.path),
            **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        command = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def new_repository(path: Path, *options: str) -> Repository:
    """An empty repository with the default branch `main`."""
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "--quiet", "--initial-branch=main", *options, ".")
    return repository


def tells(repositories: Mapping[str, Sequence[str]]) -> Rule:
    """A rule for repositories that need no objects: path -> lines of its `ls-refs`. Any other is not there."""

    def rule(handler: Handler) -> bool:
        path, found, _ = handler.path.rpartition("/git-upload-pack")
        if not found or path not in repositories:
            return handler.answer(404)
        lines = b"".join(pkt_line(f"{line}\n".encode()) for line in repositories[path])
        return handler.answer(200, lines + FLUSH, Content_Type="application/x-git-upload-pack-result")

    return rule
