"""One cloud process for all tests of this folder, and what its clients need."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from emulator.kubelet.process import find_runtime
from tests.emulator.kubelet.cluster import Cluster, api_server, loop_thread

CREDENTIALS = {
    "admin_token": "admin-token",
    "pubsub_token": "pubsub-token",
    "machines": {"secret-of-the-machine": "puller"},
    "registry": {
        "pusher": {"password": "push-password", "push": True},
        "puller": {"password": "pull-password"},
        "builder": {"password": "build-password", "push": ["tests/built-*", "tests/cache"]},
    },
}
_LISTENING = re.compile(r"listening: pubsub (\d+), registry (\d+), http (\d+)")


def eventually(condition: Callable[[], Any], *, within_s: float = 15) -> Any:
    """Return the first true answer of *condition*."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
    return answer


@dataclass(frozen=True)
class Cloud:
    """A running cloud process."""

    process: subprocess.Popen[bytes]
    state: Path
    pubsub: str
    registry: str
    http: str


def command(folder: Path, *flags: str, ports: tuple[int, int, int] = (0, 0, 0)) -> list[str]:
    """The command line of a cloud whose files are in *folder*."""
    credentials = folder / "credentials.json"
    credentials.write_text(json.dumps(CREDENTIALS))
    named = zip(("--pubsub-port", "--registry-port", "--http-port"), map(str, ports), strict=True)
    return [
        sys.executable, "-m", "emulator.cloud", "--state", str(folder / "state"),
        "--credentials", str(credentials), *(text for pair in named for text in pair), *flags,
    ]  # fmt: skip


@contextmanager
def running(folder: Path, *flags: str, ports: tuple[int, int, int] = (0, 0, 0)) -> Iterator[Cloud]:
    """A cloud of its own, stopped at the end."""
    log = folder / "cloud.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command(folder, *flags, ports=ports), stderr=stderr)

    def listening() -> re.Match[str] | None:
        assert process.poll() is None, log.read_text()
        return _LISTENING.search(log.read_text())

    try:
        addresses = [f"127.0.0.1:{port}" for port in eventually(listening).groups()]
        yield Cloud(process, folder / "state", *addresses)
    finally:
        process.terminate()
        process.wait(10)


class BearerToken(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
    """Sends the token with every call of a channel."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_token(details), request)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._with_token(details), requests)

    def _with_token(self, details: Any) -> Any:
        return details._replace(metadata=[*(details.metadata or ()), self._header])


@dataclass(frozen=True)
class PubSub:
    """The official clients on one channel, and names that no other test has."""

    publisher: Any
    subscriber: Any
    prefix: str
    audience: str = "https://functions.example/on-build-complete"

    @property
    def topic(self) -> str:
        return f"projects/p1/topics/{self.prefix}"

    @property
    def subscription(self) -> str:
        return f"projects/p1/subscriptions/{self.prefix}"

    def publish(self, data: bytes, **attributes: str) -> str:
        return str(self.publisher.publish(self.topic, data, **attributes).result(10))

    def pull(self, subscription: str = "", *, most: int = 10) -> list[Any]:
        name = subscription or self.subscription
        request = {"subscription": name, "max_messages": most}
        return list(self.subscriber.pull(request=request, timeout=5).received_messages)


@contextmanager
def pubsub_clients(address: str, token: str, prefix: str) -> Iterator[PubSub]:
    """Unmodified clients that send *token*."""
    with grpc.insecure_channel(address) as plain:
        channel = grpc.intercept_channel(plain, BearerToken(token))
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        yield PubSub(publisher, subscriber, prefix)
        publisher.stop()


@dataclass
class Endpoint:
    """An HTTP server that records requests and answers with the next of *statuses*, then 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.requests]

    def messages(self) -> list[Any]:
        return [body["message"] for body in self.bodies()]


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            endpoint.requests.append((dict(self.headers), body))
            status = endpoint.statuses.pop(0) if endpoint.statuses else 204
            endpoint.before_answer()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    return Handler


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoint)) as server:
        server.daemon_threads = True
        endpoint.url = f"http://127.0.0.1:{server.server_port}/projects/p1/topics/builds"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield endpoint
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster on which builds run."""
    state = tmp_path_factory.mktemp("cluster")
    with loop_thread() as loop, api_server(loop, state / "server") as url:
        made = Cluster(loop, url, state / "kubelet", find_runtime())
        with made.kubelet():
            yield made


@pytest.fixture
def pubsub(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[PubSub]:
    """Clients, a topic and nothing else."""
    prefix = re.sub(r"\W", "-", request.node.name)[:150]
    with pubsub_clients(cloud.pubsub, "pubsub-token", prefix) as pubsub:
        pubsub.publisher.create_topic(name=pubsub.topic)
        yield pubsub


@pytest.fixture(scope="session")
def bubblewrap(cluster: Cluster) -> None:
    if cluster.runtime is None:
        pytest.skip("needs bubblewrap")
