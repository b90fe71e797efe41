from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from functions.adapters.http import ONCE, HttpClient, Retry
from functions.core.errors import RateLimited, UpstreamError, UpstreamTimeout
from tests.fakes.certificates import tls_for
from tests.fakes.web import Reply, Web, web_server


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(web: Web, clock: Clock) -> HttpClient:
    return HttpClient("The service", web.url, timeout_s=5, sleep=clock.sleep, random=lambda: 0.5)


def replies(*answers: tuple[int, dict[str, str]]) -> Callable[[Reply], None]:
    """Answer with each in turn, and with the last one ever after."""
    left = list(answers)

    def answer(reply: Reply) -> None:
        status, headers = left.pop(0) if len(left) > 1 else left[0]
        reply.send(status, b"{}", headers)

    return answer


def test_an_answer_has_status_headers_in_any_case_and_body(web: Web, client: HttpClient) -> None:
    web.answer = lambda reply: reply.send(200, b'{"a": 1}', {"X-Thing": "yes"})
    answer = client.request("GET", "path?q=1")
    assert (answer.status, answer.headers["x-thing"], answer.json()) == (200, "yes", {"a": 1})
    assert web.seen[0].path == "/path?q=1"


def test_json_and_headers_are_sent(web: Web, client: HttpClient) -> None:
    client.request("POST", "/x", json={"a": "ü"}, headers={"Authorization": "token t"})
    seen = web.seen[0]
    assert (seen.body, seen.headers["content-type"]) == (b'{"a": "\\u00fc"}', "application/json")
    assert (seen.headers["authorization"], seen.headers["user-agent"]) == ("token t", "binderless")


def test_an_expected_status_is_a_value(web: Web, client: HttpClient, clock: Clock) -> None:
    web.answer = replies((503, {}))
    assert client.request("GET", "/", expect=(200, 503)).status == 503
    assert clock.slept == []


def test_what_passes_is_tried_again_with_growing_pauses(web: Web, client: HttpClient, clock: Clock) -> None:
    web.answer = replies((502, {}), (500, {}), (200, {}))
    assert client.request("GET", "/").status == 200
    assert clock.slept == [0.375, 0.75]


def test_trying_ends(web: Web, client: HttpClient) -> None:
    web.answer = replies((500, {}))
    with pytest.raises(UpstreamError, match="The service answered 500 to GET /x"):
        client.request("GET", "/x?token=secret")
    assert len(web.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501])
def test_permanent_errors_are_not_tried_again(web: Web, client: HttpClient, status: int) -> None:
    web.answer = replies((status, {}))
    with pytest.raises(UpstreamError) as caught:
        client.request("GET", "/x?token=secret")
    assert len(web.seen) == 1
    assert "secret" not in str(caught.value)


def test_a_post_is_repeated_only_when_it_may_be(web: Web, client: HttpClient) -> None:
    web.answer = replies((503, {}))
    for repeatable, requests in ((None, 1), (False, 1), (True, 3)):
        web.seen.clear()
        with pytest.raises(UpstreamError):
            client.request("POST", "/", repeatable=repeatable)
        assert len(web.seen) == requests


def test_retry_after_is_honoured(web: Web, client: HttpClient, clock: Clock) -> None:
    web.answer = replies((429, {"Retry-After": "2"}), (200, {}))
    client.request("GET", "/")
    assert clock.slept == [2.25]


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "120"}, 120),
        (503, {"Retry-After": "30"}, 30),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:27:00 GMT"}, 60),
        (429, {}, 8),
        (429, {"Retry-After": "soon"}, 8),
        (429, {"Retry-After": "99999999999999999999"}, 999999999),
    ],
    ids=["429", "503", "date", "untold", "nonsense", "for ever"],
)
def test_a_service_that_asks_for_patience_is_named(
    web: Web, client: HttpClient, status: int, headers: dict[str, str], seconds: float
) -> None:
    def answer(reply: Reply) -> None:
        reply.send_response_only(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            reply.send_header(name, value)
        reply.end_headers()

    web.answer = answer
    with pytest.raises(RateLimited) as caught:
        client.request("GET", "/")
    assert caught.value.retry_after_s == seconds


def test_a_long_wait_is_the_callers_to_decide(web: Web, client: HttpClient, clock: Clock) -> None:
    web.answer = replies((429, {"Retry-After": "60"}))
    with pytest.raises(RateLimited):
        client.request("GET", "/")
    assert (len(web.seen), clock.slept) == (1, [])


def test_silence_is_a_timeout(web: Web) -> None:
    over = threading.Event()
    web.answer = lambda reply: (over.wait(20), None)[1]
    client = HttpClient("The service", web.url, timeout_s=0.1, retry=ONCE)
    with pytest.raises(UpstreamTimeout, match="The service did not answer within 0.1 seconds"):
        client.request("GET", "/")
    over.set()


def test_a_broken_answer_is_tried_again(web: Web, client: HttpClient) -> None:
    def cut(reply: Reply) -> None:
        reply.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        reply.close_connection = True

    web.answer = cut
    with pytest.raises(UpstreamError, match="broke the connection off"):
        client.request("GET", "/")
    assert len(web.seen) == 3


def test_nobody_there_is_told(clock: Clock) -> None:
    with web_server() as web:
        url = web.url
    with pytest.raises(UpstreamError, match="cannot be reached"):
        HttpClient("The service", url, sleep=clock.sleep).request("GET", "/")
    assert len(clock.slept) == 2


def test_a_strange_certificate_is_permanent(tmp_path: Any, clock: Clock) -> None:
    server, _ = tls_for("127.0.0.1", tmp_path)
    with web_server(tls=server) as web, pytest.raises(UpstreamError, match="certificate"):
        HttpClient("The service", web.url, sleep=clock.sleep).request("GET", "/")
    assert clock.slept == []


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
def test_too_much_is_refused_at_the_limit(web: Web, client: HttpClient, packed: bool) -> None:
    body = gzip.compress(bytes(10_000_000)) if packed else bytes(10_000_000)
    web.answer = lambda reply: reply.send(200, body, {"Content-Encoding": "gzip"} if packed else {})
    with pytest.raises(UpstreamError, match="more than 1000 bytes"):
        client.request("GET", "/", max_bytes=1000)
    assert len(web.seen) == 1


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b"[" * 100_000], ids=["page", "empty", "bytes", "deep"])
def test_what_is_not_json_is_the_services_fault(web: Web, client: HttpClient, body: bytes) -> None:
    web.answer = lambda reply: reply.send(200, body)
    with pytest.raises(UpstreamError, match="not JSON"):
        client.request("GET", "/").json()


def redirecting(location: str) -> Callable[[Reply], None]:
    def answer(reply: Reply) -> None:
        if reply.path == "/old":
            reply.send(307, headers={"Location": location})
        else:
            reply.send(200)

    return answer


def test_redirects_are_not_followed_unless_asked(web: Web, client: HttpClient) -> None:
    web.answer = redirecting("/new")
    with pytest.raises(UpstreamError, match="answered 307"):
        client.request("GET", "/old")


@pytest.mark.parametrize("location", ["http://[", "ftp://example.org/", "file:///etc/passwd", "http://"])
def test_a_redirect_to_nowhere_is_the_services_fault(web: Web, client: HttpClient, location: str) -> None:
    web.answer = redirecting(location)
    with pytest.raises(UpstreamError):
        client.request("GET", "/old", follow=1)


def test_a_redirect_keeps_method_body_and_own_secrets(web: Web, client: HttpClient) -> None:
    web.answer = redirecting("/new")
    answer = client.request("POST", "/old", body=b"x", headers={"Authorization": "t"}, follow=1)
    assert answer.url == f"{web.url}/new"
    assert (web.seen[1].method, web.seen[1].body, web.seen[1].headers["authorization"]) == ("POST", b"x", "t")


def test_a_redirect_to_another_host_takes_no_secrets_along(web: Web, client: HttpClient) -> None:
    with web_server() as other:
        web.answer = redirecting(f"{other.url}/new")
        client.request("GET", "/old", headers={"Authorization": "t", "Cookie": "c"}, follow=1)
        assert {"authorization", "cookie"}.isdisjoint(other.seen[0].headers)


def test_a_redirect_from_https_to_http_is_refused(web: Web, tmp_path: Any) -> None:
    server, trusting = tls_for("127.0.0.1", tmp_path)
    with web_server(tls=server) as secure, urllib3.PoolManager(ssl_context=trusting) as pool:
        secure.answer = redirecting(f"{web.url}/new")
        with pytest.raises(UpstreamError, match="not https"):
            HttpClient("The service", secure.url, pool=pool).request("GET", "/old", follow=3)
    assert web.seen == []


def streaming(
    *pieces: bytes, then: Callable[[Reply], None] = lambda reply: reply.chunk(b"")
) -> Callable[[Reply], None]:
    def answer(reply: Reply) -> None:
        reply.send_response(200)
        reply.send_header("Transfer-Encoding", "chunked")
        reply.end_headers()
        for piece in pieces:
            reply.chunk(piece)
        then(reply)

    return answer


def test_lines_come_whole_however_they_are_cut(web: Web, client: HttpClient) -> None:
    web.answer = streaming(b"da", b"ta: 1\r\n\r\nda", "ta: ü".encode()[:-1], "ü".encode()[1:], b"\nlast")
    with client.stream_lines("GET", "/") as lines:
        assert list(lines) == ["data: 1", "", "data: ü", "last"]


def test_many_lines_at_once_all_come_without_a_pause(web: Web, client: HttpClient) -> None:
    web.answer = streaming(*(b"%d\n" % number for number in range(1000)))
    with client.stream_lines("GET", "/", quiet_s=60) as lines:
        assert list(lines) == [str(number) for number in range(1000)]


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_silence_in_a_stream_is_none_and_not_its_end(tmp_path: Any, secure: bool) -> None:
    go_on = threading.Event()

    def later(reply: Reply) -> None:
        go_on.wait(20)
        reply.chunk(b"second\n")
        reply.chunk(b"")

    server, trusting = tls_for("127.0.0.1", tmp_path)
    with web_server(tls=server if secure else None) as web, urllib3.PoolManager(ssl_context=trusting) as pool:
        web.answer = streaming(b"first\n", then=later)
        client = HttpClient("The service", web.url, pool=pool)
        with client.stream_lines("GET", "/", quiet_s=0.02) as lines:
            seen: list[str | None] = []
            for line in lines:
                seen.append(line)
                if seen.count(None) == 3:
                    go_on.set()
    assert seen.count(None) >= 3
    assert [line for line in seen if line] == ["first", "second"]


def test_a_stream_that_breaks_off_is_told(web: Web, client: HttpClient) -> None:
    def cut(reply: Reply) -> None:
        reply.close_connection = True

    web.answer = streaming(b"first\n", then=cut)
    with client.stream_lines("GET", "/") as lines, pytest.raises(UpstreamError, match="broke the connection off"):
        list(lines)


def test_a_stream_that_stops_within_a_chunk_is_a_timeout(web: Web) -> None:
    over = threading.Event()

    def stop(reply: Reply) -> None:
        reply.wfile.write(b"f")
        over.wait(20)

    web.answer = streaming(b"first\n", then=stop)
    client = HttpClient("The service", web.url, timeout_s=1)
    with client.stream_lines("GET", "/") as lines, pytest.raises(UpstreamTimeout):
        list(lines)
    over.set()


def test_a_stream_says_its_status(web: Web, client: HttpClient) -> None:
    web.answer = replies((404, {}))
    with client.stream_lines("GET", "/", expect=(200, 404)) as lines:
        assert (lines.status, list(lines)) == (404, ["{}"])


def test_a_line_without_end_is_refused(web: Web, client: HttpClient) -> None:
    web.answer = streaming(*[b"x" * 65536] * 40)
    with client.stream_lines("GET", "/") as lines, pytest.raises(UpstreamError, match="sent a line of more than"):
        list(lines)


def test_opening_a_stream_is_tried_again(web: Web, client: HttpClient) -> None:
    web.answer = replies((503, {}), (200, {}))
    with client.stream_lines("GET", "/") as lines:
        assert list(lines) == ["{}"]


def test_one_connection_serves_many_requests(web: Web, client: HttpClient) -> None:
    ports: set[int] = set()

    def answer(reply: Reply) -> None:
        ports.add(reply.client_address[1])
        reply.send(200, b"x")

    web.answer = answer
    for method in ("GET", "HEAD", "GET"):
        client.request(method, "/")
    assert len(ports) == 1


def test_pauses_stay_within_their_limits() -> None:
    retry = Retry(attempts=9, first_s=1, longest_s=4)
    pauses = [retry.pause_s(attempt, asked_s=None, jitter=1) for attempt in range(1, 10)]
    assert pauses == [1, 2, 4, 4, 4, 4, 4, 4, None]
