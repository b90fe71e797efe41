"""A small web server on loopback that answers as a test says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Reply(BaseHTTPRequestHandler):
    """What a test answers with: `send`, or `wfile` for what is not HTTP any more."""

    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.web.seen.append(Seen(self.command, self.path, headers, body))
        self.web.answer(self)

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, data: bytes) -> None:
        """One piece of a chunked answer; an empty one ends it."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Web:
    url: str
    port: int
    answer: Callable[[Reply], None] = lambda reply: reply.send(200)
    seen: list[Seen] = field(default_factory=list)


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    # Crowds of hundreds connect at once. Who finds no place in the queue tries again after 1, 3 and 7 s.
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are part of many tests."""


@contextmanager
def web_server(*, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    handler = type("BoundReply", (Reply,), {})
    server = QuietServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    web = handler.web = Web(f"{scheme}://127.0.0.1:{server.server_port}", server.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
