"""What a host that a stranger has chosen may try with the `git` provider."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from itertools import repeat
from urllib.parse import quote

import pytest

from functions.adapters.addresses import PublicPool
from functions.adapters.http import MIB, ONCE
from functions.adapters.providers.git import Git
from functions.core.errors import BinderError, InvalidSpec, NotAllowed, UpstreamError, UpstreamTimeout
from functions.core.gitrefs import FLUSH, pkt_line
from tests.fakes.web import Reply, Web

RESULT = {"Content-Type": "application/x-git-upload-pack-result"}
SHA = "a" * 40


@pytest.fixture
def git() -> Git:
    pool = PublicPool(allow_private=True, deadline_s=20)
    return Git(allow_http=True, pool=pool, timeout_s=5, retry=ONCE)


def resolve(git: Git, url: str, ref: str = "main") -> str:
    return git.resolve(f"{quote(url, safe='')}/{ref}").sha


def endless(reply: Reply) -> None:
    reply.send_response(200)
    for name, value in {**RESULT, "Transfer-Encoding": "chunked"}.items():
        reply.send_header(name, value)
    reply.end_headers()
    line = pkt_line(f"{SHA} refs/heads/{'x' * 200}\n".encode()) * 300
    while True:
        reply.chunk(line)


def many_refs(reply: Reply) -> None:
    lines = (pkt_line(f"{SHA} refs/heads/{number:06d}\n".encode()) for number in range(100_001))
    reply.send(200, b"".join(lines) + FLUSH, RESULT)


def gzipped(pieces: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


# Made before memory is measured, and with little of it.
BOMB = gzipped(repeat(bytes(MIB), 200))
BOMB_IN_A_BOMB = gzipped([BOMB])


def gzip_bomb(reply: Reply) -> None:
    reply.send(200, BOMB, {**RESULT, "Content-Encoding": "gzip"})


def bomb_in_a_bomb(reply: Reply) -> None:
    reply.send(200, BOMB_IN_A_BOMB, {**RESULT, "Content-Encoding": "gzip, gzip"})


def many_encodings(reply: Reply) -> None:
    reply.send(200, b"x", {**RESULT, "Content-Encoding": ", ".join(["gzip"] * 1000)})


def false_length(reply: Reply) -> None:
    reply.send(200, b"0000", {**RESULT, "Content-Length": str(2**40)})
    reply.close_connection = True


def huge_header(reply: Reply) -> None:
    reply.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * MIB + b"\r\n\r\n")


def many_headers(reply: Reply) -> None:
    reply.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-One-More: x\r\n" * 10_000 + b"\r\n")


def not_http(reply: Reply) -> None:
    reply.wfile.write(b"220 mail.example.org ESMTP\r\n" * 100)
    reply.close_connection = True


BURDENS = [
    endless, many_refs, gzip_bomb, bomb_in_a_bomb, many_encodings, false_length, huge_header, many_headers, not_http
]  # fmt: skip


@pytest.mark.parametrize("burden", BURDENS)
def test_a_burden_is_dropped_before_it_weighs(git: Git, web: Web, burden: Callable[[Reply], None]) -> None:
    web.answer = burden
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamError):
            resolve(git, f"{web.url}/repo")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 64 * MIB


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_endless_row_of_redirects_ends(git: Git, web: Web, status: int) -> None:
    web.answer = lambda reply: reply.send(status, headers={"Location": f"{reply.path}x"})
    with pytest.raises(BinderError):
        resolve(git, f"{web.url}/repo")
    assert len(web.seen) <= 8


def continues_for_ever(reply: Reply) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        reply.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def trailers_for_ever(reply: Reply) -> None:
    reply.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        reply.wfile.write(b"X-Trailer: x\r\n")
        time.sleep(0.01)


@pytest.mark.parametrize("delay", [continues_for_ever, trailers_for_ever])
def test_an_answer_that_never_begins_or_ends_is_left_at_the_deadline(web: Web, delay: Callable[[Reply], None]) -> None:
    git = Git(allow_http=True, pool=PublicPool(allow_private=True, deadline_s=0.5), retry=ONCE)
    web.answer = delay
    with pytest.raises((UpstreamTimeout, UpstreamError)):
        resolve(git, f"{web.url}/repo")


def test_a_page_of_the_inside_is_not_shown(git: Git, web: Web) -> None:
    """Even where addresses are not looked at, nobody reads with this what is not git's."""
    web.answer = lambda reply: reply.send(200, b"the secret", {"Content-Type": "text/plain"})
    with pytest.raises(InvalidSpec) as caught:
        resolve(git, f"{web.url}/latest/meta-data")
    assert "the secret" not in str(caught.value)


@pytest.mark.parametrize("ref", ["main", SHA])
@pytest.mark.parametrize(
    "url",
    [
        "https://metadata.google.internal/a",
        "https://169.254.169.254/a",
        "https://[fd00:ec2::254]/a",
        "https://localhost/a",
        "https://2130706433/a",
        "https://0x7f.1/a",
        "https://127.0.0.1./a",
        "https://LOCALHOST/a",
        "https://8.8.8.8:22/a",
        "http://8.8.8.8/a",
    ],
)
def test_the_inside_is_refused_by_default_for_names_and_shas_alike(url: str, ref: str) -> None:
    with pytest.raises(NotAllowed):
        resolve(Git(retry=ONCE), url, ref)
