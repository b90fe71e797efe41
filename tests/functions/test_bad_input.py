"""What strangers may send to the functions' address, over real sockets, to the server that runs them in production.

functions-framework and gunicorn are the real ones; what stands behind answers "no such thing".
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.fakes.web import web_server
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Served:
    """`build`, served by its framework; `pid` is the process that answers."""

    port: int
    pid: int

    def send(self, data: bytes, *, patience_s: float = 20) -> bytes:
        """Everything that is answered to *data* until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience_s) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def get(self, target: bytes, *headers: bytes) -> bytes:
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: binder.example.org", b"Accept: text/event-stream"]
        return self.send(b"\r\n".join([*lines, b"Connection: close", *headers, b"", b""]))

    def own_bytes(self) -> int:
        """Memory that is this process's alone: shares of libraries grow when others that use them end."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Anonymous:")) * 1024

    def healthy(self) -> bool:
        return b" 200 " in self.get(b"/versions").partition(b"\r\n")[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with web_server() as nothing:
        nothing.answer = lambda reply: reply.send(404)
        config = {
            "hub": {"url": nothing.url, "api_url": nothing.url, "token": "t"},
            "registry": {"url": nothing.url, "image_prefix": "r.example.org/"},
            "store": {"path": str(folder / "store")},
            "launches": {"secret": "s" * 32},
            "github": {"url": nothing.url, "gist_url": nothing.url, "api_url": nothing.url},
            "gitlab": {"url": nothing.url},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        yield from _serve(free_port(), folder)


def _serve(port: int, folder: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "functions_framework", "--target", "build", "--port", str(port)]
    environment = {**os.environ, "BINDERLESS_CONFIG": str(folder / "config.yaml")}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            _await_port(port)
            yield Served(port, _worker(process.pid))
        finally:
            process.terminate()
            process.wait(20)
    assert "Traceback" not in (folder / "output").read_text()


def _await_port(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the function did not start")


def _worker(pid: int) -> int:
    """The process of gunicorn that answers requests."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def failure_in(answer: bytes) -> dict[str, object]:
    """The one failed event of a stream."""
    [line] = [line for line in answer.splitlines() if line.startswith(b"data: ")]
    event: dict[str, object] = json.loads(line.removeprefix(b"data: "))
    assert event["phase"] == "failed"
    return event


LINKS = {
    "broken percent-encoding": b"/build/gh/a/b/%zz",
    "half an escape": b"/build/gh/a/b/%",
    "escaped bytes that are not UTF-8": b"/build/gh/a/b/%ff%fe",
    "a folder above": b"/build/gh/a/../HEAD",
    "an escaped folder above": b"/build/gh/a/%2e%2e/HEAD",
    "above the root": b"/build/../../etc/passwd",
    "double slashes": b"/build//gh//a//b//HEAD",
    "NUL": b"/build/gh/a/b/%00",
    "an escaped line end": b"/build/gh/a/b/x%250d%250aSet-Cookie:%20a=b",
    "a spec of 64 KiB": b"/build/gh/a/b/" + b"a" * 65536,
    "a query of 64 KiB": b"/build/gh/a/b/HEAD?" + b"b" * 65536,
    "look-alike letters": b"/build/gh/%D0%B0pple/b/HEAD",
    "a mark that turns text around": b"/build/gh/a/b/%E2%80%AEHEAD",
    "a whole address": b"http://169.254.169.254/build/gh/a/b/HEAD/../x",
    "an inner address": b"/build/git/http%3A%2F%2F169.254.169.254%2Flatest/HEAD",
    "a local file": b"/build/git/file%3A%2F%2F%2Fetc/HEAD",
    "a password": b"/build/git/https%3A%2F%2Fme%3Asecret%40example.org%2Fa/HEAD",
    "an option": b"/build/gh/a/b/--upload-pack=x",
    "no provider": b"/build/",
    "an unknown provider": b"/build/<script>/a/b/HEAD",
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_a_link_that_is_none_is_one_failed_event(served: Served, link: bytes) -> None:
    answer = served.get(link)
    assert status_of(answer) == 200
    event = failure_in(answer)
    assert 400 <= int(str(event["status_code"])) < 500
    assert "secret" not in str(event["message"])
    assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]


NOT_HTTP = {
    "bytes that are not UTF-8 in the target": b"GET /build/gh/a/b/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "look-alike letters in the target": "GET /build/gh/\u0430/b/HEAD HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "a line end in the path": b"GET /build/gh/a/b/x%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header of 64 KiB": b"GET /versions HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65536 + b"\r\n\r\n",
    "a thousand headers": b"GET /versions HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a line end in a header": b"GET /versions HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    "NUL in a header": b"GET /versions HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "two lengths": b"POST /build/gh/a/b/c HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is none": b"POST /build/gh/a/b/c HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
}


@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_is_refused_and_does_no_harm(served: Served, data: bytes) -> None:
    answer = served.send(data)
    assert answer == b"" or 400 <= status_of(answer) < 500
    assert b"Traceback" not in answer
    assert served.healthy()


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH"])
def test_other_methods_are_a_failed_event(served: Served, method: bytes) -> None:
    head = method + b" /build/gh/a/b/HEAD HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n"
    assert failure_in(served.send(head + b"Content-Length: 4\r\n\r\nbody"))["status_code"] == 405


@pytest.mark.parametrize("method", [b"BREW", b"TRACE", b"CONNECT"])
def test_methods_that_nobody_offers_are_refused(served: Served, method: bytes) -> None:
    answer = served.send(method + b" /versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert 400 <= status_of(answer) < 502
    assert b"Traceback" not in answer


def test_a_body_on_get_changes_nothing(served: Served) -> None:
    head = b"GET /versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
    assert status_of(served.send(head + b"body")) == 200


HOSTS = [b"evil.example.org<script>", b"a b", b"x\t", b"user@host", b"[::1", b""]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_none_is_not_repeated(served: Served, host: bytes) -> None:
    answer = served.send(b"GET /build/gh/a/b/HEAD HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert 200 <= status_of(answer) < 500
    assert b"<script>" not in answer
    assert b"Traceback" not in answer


def test_thousands_of_distinct_links_from_one_address_grow_no_memory(served: Served) -> None:
    def ask(count: int, what: str) -> None:
        for number in range(count):
            event = failure_in(served.get(f"/build/gh/owner/{what}/{number}-{'x' * 1000}".encode()))
            assert event["status_code"] == 404

    ask(500, "warm")
    before_bytes = served.own_bytes()
    ask(1500, "more")
    assert served.own_bytes() - before_bytes < 2 * 1024 * 1024
