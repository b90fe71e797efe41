"""Servers that run in a thread of the tests, and small objects to send them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client

from emulator.kube.authentication import parse_tokens
from emulator.kube.process import Running, Settings, running

TOKEN = "a-master-token"
WEAK_TOKEN = "a-weak-token"
KUBELET_TOKEN = "a-kubelet-token"
TOKEN_FILE = f"""{TOKEN},admin,1,"system:masters"
{WEAK_TOKEN},bob,2,people
{KUBELET_TOKEN},kubelet,3,"system:masters"
"""
PATIENCE_S = 20.0
T = TypeVar("T")


def eventually(look: Callable[[], T], *, what: str = "what was waited for") -> T:
    """Return the first true answer of *look*."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if answer := look():
            return answer
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come")


@dataclass(frozen=True, slots=True)
class ServerThread:
    """A server that runs in a thread, with its address and state folder."""

    url: str
    tls_url: str
    state: Path
    running: Running

    @property
    def certificate(self) -> Path:
        return self.state / "server.crt"


@contextmanager
def serving(state: Path) -> Iterator[ServerThread]:
    """Serve in a thread within the context."""
    started: list[Running] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    ready = threading.Event()
    settings = Settings(0, state, parse_tokens(TOKEN_FILE.splitlines()), 0, timedelta(0))

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        async with running(settings) as server:
            started.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S), "the server did not start"
    server = started[0]
    tls_url = f"https://127.0.0.1:{server.tls_port}"
    try:
        yield ServerThread(f"http://127.0.0.1:{server.port}", tls_url, state, server)
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def api_client(url: str, token: str = TOKEN) -> Any:
    """Return a client of the official library."""
    configuration = client.Configuration(host=url)
    configuration.api_key = {"authorization": f"Bearer {token}"} if token else {}
    return client.ApiClient(configuration)


def pod_body(name: str, **spec: Any) -> dict[str, Any]:
    """Return a small pod."""
    container = {"name": "main", "image": "example.org/shell:1", "command": ["sh", "-c", "true"]}
    return {"metadata": {"name": name}, "spec": {"containers": [container], "restartPolicy": "Never"} | spec}


def job_body(name: str, **spec: Any) -> dict[str, Any]:
    """Return a small job."""
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod_body(name)["spec"]}} | spec}
