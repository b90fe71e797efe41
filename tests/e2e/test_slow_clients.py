"""Clients that take their time, at the public address: nobody else waits for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import pytest

from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import HTTP, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@contextmanager
def connections(stack: Stack, count: int, data: bytes) -> Iterator[None]:
    """*count* clients that send *data* and do nothing more."""
    address = ("127.0.0.1", int(stack.url.rpartition(":")[2]))
    with ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(socket.create_connection(address, timeout=20))
            client.sendall(data)
        yield


def healthy(stack: Stack) -> bool:
    return HTTP.request("GET", f"{stack.url}/versions", timeout=20).status == 200


def test_requests_that_never_end_hold_up_nobody(stack: Stack) -> None:
    with connections(stack, 300, b"GET /build/gh/a/b/HEAD HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        assert healthy(stack)


def test_readers_that_do_not_read_hold_up_nobody(stack: Stack, make_repository: MakeRepository) -> None:
    repo_url = make_repository("unread")
    stack.ready(repo_url)
    link = f"/build/git/{quote(repo_url, safe='')}/nosuchref"
    request = f"GET {link} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode()
    with connections(stack, 100, request):
        assert healthy(stack)
        assert stack.ready(repo_url).phase == "ready"
