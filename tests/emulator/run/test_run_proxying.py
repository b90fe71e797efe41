"""Requests and answers through the real runtime."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.run.harness import Runtime, eventually


def sent(runtime: Runtime, raw: bytes, *, where: str = "gateway") -> bytes:
    """Everything that is answered to the bytes *raw*."""
    answer = b""
    with socket.create_connection(("127.0.0.1", runtime.port(where)), timeout=20) as connection:
        connection.sendall(raw)
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


TARGETS = [
    "/build/git/https%3A%2F%2Fx%2Fy/a%2Fb//..%20?x=%2F",
    "//double//slash/../..",
    "/question?",
    "/a;b=c?d?e=%zz",
    "/%e2%82%AC/%00",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("where", ["gateway", "echo"])
def test_the_raw_target_reaches_the_function(runtime: Runtime, where: str, target: str) -> None:
    assert runtime.ask(where, target).json()["target"] == target


def test_an_absolute_target_loses_its_host_only(runtime: Runtime) -> None:
    answer = sent(runtime, b"GET http://x//a%2Fb/.. HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["target"] == "//a%2Fb/.."


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_any_method_reaches_the_function(runtime: Runtime, method: str) -> None:
    assert runtime.ask("gateway", "/", method=method).json()["method"] == method


def test_a_head_answer_has_a_length_and_no_body(runtime: Runtime) -> None:
    answer = runtime.ask("gateway", "/", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("status", [201, 204, 304, 404, 500])
def test_status_and_repeated_headers_come_back(runtime: Runtime, status: int) -> None:
    request = f"GET /?s={status} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    answer = sent(runtime, request, where="answer")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Path=/\r\n" in answer


def test_the_client_is_appended_to_what_it_claims_and_hop_headers_stay_behind(runtime: Runtime) -> None:
    headers = {
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Connection": "x-secret, keep-alive",
        "X-Secret": "of this hop",
        "Upgrade": "h2c",
        "Host": "binder.example",
    }
    seen = dict(runtime.ask("gateway", "/", headers=headers).json()["headers"])
    assert seen["X-Forwarded-For"] == "1.2.3.4, 127.0.0.1"
    assert (seen["X-Forwarded-Proto"], seen["X-Forwarded-Host"]) == ("http", "binder.example")
    assert seen["Host"] == "binder.example"
    assert not {"X-Secret", "Upgrade", "Keep-Alive"} & seen.keys()


def test_no_client_speaks_as_the_front_end_of_gunicorn(runtime: Runtime) -> None:
    headers = {"SCRIPT_NAME": "/x", "PATH_INFO": "/admin", "X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"}
    seen = runtime.ask("gateway", "/x/page", headers=headers).json()
    assert (seen["path"], seen["root"], seen["scheme"]) == ("/x/page", "", "http")


def test_a_body_goes_through_whole_up_to_the_limit(runtime: Runtime) -> None:
    body = b"x" * (32 * 1024 * 1024)
    assert runtime.ask("echo", "/", method="POST", body=body).json()["body_bytes"] == len(body)


def test_a_chunked_body_goes_through(runtime: Runtime) -> None:
    chunks = iter([b"a" * 10, b"b" * 100_000])
    assert runtime.ask("echo", "/", method="POST", body=chunks, encode_chunked=True).json()["body_bytes"] == 100_010


def test_an_announced_body_over_the_limit_is_refused(runtime: Runtime) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 33554433\r\n\r\n"
    assert sent(runtime, head).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_over_the_limit_is_refused(runtime: Runtime) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 1024 * 1024

    assert runtime.ask("echo", "/", method="POST", body=endless(), encode_chunked=True).status == 413


def test_a_client_that_waits_for_100_is_asked_for_its_body(runtime: Runtime) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", runtime.port("echo")), timeout=20) as connection:
        connection.sendall(head)
        assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hi")
        assert connection.recv(1024).startswith(b"HTTP/1.1 200 ")


ATTACKS = {
    "two ways to say a length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length that is no number": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "a header with a zero byte": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\nConnection: close\r\n\r\n",
    "a header that is not ASCII": b"GET / HTTP/1.1\r\nHost: x\r\nA: \xff\xe9\r\nConnection: close\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nX: c\r\nConnection: close\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nConnection: close\r\n\r\n",
    "a target that is not ASCII": b"GET /\xff\xe9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "no target": b"GET evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an unknown chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
    "a long target": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 10_000 + b"\r\nConnection: close\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"A: b\r\n" * 200 + b"\r\n",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_what_is_not_http_is_refused_and_reaches_nobody(runtime: Runtime, attack: bytes) -> None:
    answer = sent(runtime, attack, where="echo")
    assert answer.split()[1].startswith(b"4"), answer
    assert b'"target"' not in answer


def test_events_arrive_one_by_one_while_the_stream_goes_on(runtime: Runtime) -> None:
    connection = runtime.connect("gateway")
    connection.request("GET", "/events/")
    response = connection.getresponse()
    assert [response.readline() for _ in range(4)][::3] == [b"id: 0\n", b"id: 1\n"]
    connection.close()
    response.close()


def test_the_generator_ends_when_the_client_leaves(runtime: Runtime, tmp_path: Path) -> None:
    mark = tmp_path / "ended"
    stay, leave = runtime.connect("events"), runtime.connect("events")
    stay.request("GET", "/")
    leave.request("GET", f"/?mark={mark}")
    with stay.getresponse() as staying, leave.getresponse() as leaving:
        assert staying.readline() == leaving.readline() == b"id: 0\n"
        leave.close()
        leaving.close()
        # The instance may be the one of the stream that stays, or be frozen: then the next request wakes it up.
        eventually(lambda: runtime.ask("events", "/", method="HEAD") and mark.exists())
    stay.close()


def test_a_client_that_left_is_no_request_in_flight(runtime: Runtime) -> None:
    connection = runtime.connect("events")
    connection.request("GET", "/")
    with connection.getresponse() as response:
        assert response.readline() == b"id: 0\n"
        connection.close()
    eventually(lambda: sum(each["in_flight"] for each in runtime.instances("events")) == 0)


def test_a_request_that_takes_too_long_is_answered_504_and_the_instance_lives(runtime: Runtime) -> None:
    assert runtime.ask("hasty", "/?s=3").status == 504
    [before] = runtime.instances("hasty")
    assert runtime.ask("hasty", "/?s=0").status == 200
    assert before["pid"] in [each["pid"] for each in runtime.instances("hasty")]


def test_a_stream_that_takes_too_long_is_cut_off_and_not_ended(runtime: Runtime) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = sent(runtime, request, where="hasty-events")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"id: 1\n" in answer and not answer.endswith(b"0\r\n\r\n")


def test_a_crash_is_a_503_of_the_function_and_a_502_page_at_the_gateway(runtime: Runtime) -> None:
    assert runtime.ask("crash", "/").status == 503
    answer = runtime.ask("gateway", "/broken")
    assert answer.status == 502
    assert b"try again in 30 seconds" in answer.body


def test_the_log_has_a_line_per_request_and_no_query(runtime: Runtime) -> None:
    runtime.ask("gateway", "/logged/here?token=secret")
    [line] = eventually(lambda: [e for e in runtime.events("request") if e["path"] == "/logged/here"])
    assert (line["function"], line["method"], line["status"]) == ("echo", "GET", 200)
    assert b"secret" not in runtime.log.read_bytes()


def test_what_an_instance_writes_is_prefixed_and_harmless(runtime: Runtime) -> None:
    runtime.ask("shout", "/")
    [instance] = runtime.instances("shout")
    prefix = f"[shout {instance['pid']}] ".encode()
    lines = eventually(lambda: [e for e in runtime.log.read_bytes().splitlines() if e.startswith(prefix)][:2])
    assert len(lines[0]) < 9000 and lines[0].endswith(b"[cut]")
    eventually(lambda: prefix + b"\\x1b[2Jbeware" in runtime.log.read_bytes())
