"""What a notebook server says of its kernels, and what a stranger's server may say instead."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from functions.adapters.addresses import PublicPool
from functions.adapters.http import ONCE, HttpClient
from functions.adapters.kernels import MOST_BYTES, ServerKernels
from functions.core.kernels import KernelUse
from tests.fakes.web import Reply, Web, web_server


@pytest.fixture
def kernels() -> ServerKernels:
    return ServerKernels(HttpClient("The notebook server", timeout_s=10, retry=ONCE))


def says(body: Any, status: int = 200) -> Callable[[Reply], None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda reply: reply.send(status, content)


def kernel(state: str, connections: object = 0) -> dict[str, object]:
    return {"id": "1", "name": "python3", "execution_state": state, "connections": connections}


def test_kernels_that_compute_and_connections_are_counted(web: Web, kernels: ServerKernels) -> None:
    web.answer = says([kernel("busy", 1), kernel("idle", 2), kernel("starting")])
    assert kernels.use(f"{web.url}/user/u/", "secret") == KernelUse(busy=1, connections=3)
    [seen] = web.seen
    assert (seen.method, seen.path, seen.headers["authorization"]) == ("GET", "/user/u/api/kernels", "token secret")


def test_a_server_without_kernels_has_no_use(web: Web, kernels: ServerKernels) -> None:
    web.answer = says([])
    assert kernels.use(f"{web.url}/", "t") == KernelUse(busy=0, connections=0)


@pytest.mark.parametrize(
    "body",
    [
        [kernel("busy", "many")],
        [kernel("busy", None)],
        [kernel("busy", -5)],
        [kernel("busy", [1])],
        [1, None, kernel("busy")],
    ],
    ids=["a word", "nothing", "less than none", "a list", "no kernels"],
)
def test_what_is_no_number_of_connections_is_none(web: Web, kernels: ServerKernels, body: Any) -> None:
    web.answer = says(body)
    assert kernels.use(f"{web.url}/", "t") == KernelUse(busy=1, connections=0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, {"kernels": []}),
        (200, b"[" * 100_000),
        (200, b"[" + b" " * MOST_BYTES + b"]"),
        (403, {"message": "Forbidden"}),
        (404, {}),
        (503, {}),
    ],
    ids=["a page", "no list", "too deep", "too long", "another token", "no such server", "out"],
)
def test_a_server_that_answers_something_else_says_nothing(
    web: Web, kernels: ServerKernels, status: int, body: Any
) -> None:
    web.answer = says(body, status)
    assert kernels.use(f"{web.url}/", "t") is None
    assert len(web.seen) == 1


def test_a_server_that_does_not_answer_is_not_waited_for(web: Web) -> None:
    over = threading.Event()
    kernels = ServerKernels(HttpClient("The notebook server", timeout_s=0.1, retry=ONCE))

    def wait(_: Reply) -> None:
        over.wait(20)

    web.answer = wait
    try:
        assert kernels.use(f"{web.url}/", "t") is None
    finally:
        over.set()


def test_nobody_listens(kernels: ServerKernels) -> None:
    assert kernels.use("http://127.0.0.1:9/", "t") is None


def test_the_token_follows_no_redirect(web: Web, kernels: ServerKernels) -> None:
    with web_server() as elsewhere:
        web.answer = lambda reply: reply.send(302, b"", {"Location": f"{elsewhere.url}/api/kernels"})
        assert kernels.use(f"{web.url}/", "secret") is None
        assert elsewhere.seen == []


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Name: "], ids=["body", "headers"])
def test_a_server_that_answers_for_ever_is_not_listened_to_for_ever(web: Web, head: bytes) -> None:
    over = threading.Event()

    def drip(reply: Reply) -> None:
        reply.wfile.write(head)
        while not over.wait(0.05):
            reply.wfile.write(b" ")

    web.answer = drip
    pool = PublicPool(allow_private=True, deadline_s=0.5)
    patient = ServerKernels(HttpClient("The notebook server", timeout_s=30, retry=ONCE, pool=pool))
    try:
        assert patient.use(f"{web.url}/", "t") is None
    finally:
        over.set()
