"""Each kind of fault is what its name says, as a client and a service see it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from tests.chaos import faults
from tests.chaos.faults import HTTP, MESSAGES, TCP, VICTIMS, Fault, Kind
from tests.chaos.journal import Journal
from tests.chaos.lines import Lines
from tests.fakes.web import QuietServer

BODY = b"x" * 1000


class Service(QuietServer):
    """Answers BODY to everything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.server.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def line(fault: Fault | None, service: str = "kube") -> Iterator[tuple[Service, int, Journal]]:
    journal = Journal()
    with Service() as target, Lines(lambda *_: fault, journal) as lines:
        threading.Thread(target=target.serve_forever, daemon=True).start()
        lines.calm = False
        yield target, lines.open(service, lambda: target.server_address[1]), journal
        target.shutdown()


def ask(port: int, *, agent: str = "binderless", timeout_s: float = 5) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)) as connection:
        connection.request("POST", "/", body=b"wish", headers={"User-Agent": agent})
        response = connection.getresponse()
        return response, response.read()


def test_a_calm_line_changes_nothing() -> None:
    with line(None) as (service, port, journal):
        response, body = ask(port)
    assert (response.status, body, service.asked, journal.entries) == (200, BODY, [b"wish"], [])


def test_an_error_is_an_answer_that_the_service_did_not_give() -> None:
    with line(Fault(Kind.ERROR, status=502)) as (service, port, journal):
        response, _ = ask(port)
    assert (response.status, service.asked) == (502, [])
    assert journal.faults() == {("kube", "error"): 1}


def test_a_busy_service_says_when_to_come_back() -> None:
    with line(Fault(Kind.BUSY, seconds=3, status=429)) as (service, port, _):
        response, _ = ask(port)
    assert (response.status, response.headers["Retry-After"], service.asked) == (429, "3", [])


def test_a_reset_comes_before_the_service_hears_anything() -> None:
    with line(Fault(Kind.RESET)) as (service, port, _), pytest.raises(ConnectionResetError):
        ask(port)
    assert service.asked == []


def test_of_a_lost_answer_the_service_has_done_what_it_was_asked() -> None:
    with line(Fault(Kind.LOST)) as (service, port, _), pytest.raises(ConnectionResetError):
        ask(port)
    assert service.asked == [b"wish"]


def test_a_dropped_request_is_met_with_silence() -> None:
    with line(Fault(Kind.DROP, seconds=5)) as (service, port, _), pytest.raises(TimeoutError):
        ask(port, timeout_s=0.3)
    assert service.asked == []


def test_a_delayed_request_arrives() -> None:
    began = time.monotonic()
    with line(Fault(Kind.DELAY, seconds=0.3)) as (service, port, _):
        ask(port)
    assert service.asked == [b"wish"]
    assert time.monotonic() - began >= 0.3


def test_a_duplicate_arrives_twice_and_is_answered_once() -> None:
    with line(Fault(Kind.DUPLICATE)) as (service, port, _):
        response, body = ask(port)
    assert (response.status, body, service.asked) == (200, BODY, [b"wish", b"wish"])


def test_half_of_a_truncated_answer_comes() -> None:
    with line(Fault(Kind.TRUNCATED)) as (service, port, _), pytest.raises(http.client.HTTPException):
        ask(port)
    assert service.asked == [b"wish"]


def test_only_the_functions_meet_faults() -> None:
    with line(Fault(Kind.RESET)) as (service, port, _):
        response, _ = ask(port, agent="git/2.39.5")
    assert (response.status, service.asked) == (200, [b"wish"])


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.LOST, Kind.TRUNCATED])
def test_a_stream_of_bytes_breaks(kind: Kind) -> None:
    with line(Fault(kind), service="pubsub") as (_, port, journal):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nwish")
            try:
                heard = client.recv(100)
            except ConnectionResetError:
                heard = b""
        assert heard == b""
        assert journal.faults() == {("pubsub", kind): 1}


def test_a_stream_of_bytes_is_passed_on() -> None:
    with line(Fault(Kind.DELAY, seconds=0.1), service="pubsub") as (service, port, _):
        ask(port)
        assert service.asked == [b"wish"]


def test_a_silent_stream_says_nothing() -> None:
    with line(Fault(Kind.DROP), service="pubsub") as (service, port, _), pytest.raises(TimeoutError):
        ask(port, timeout_s=0.3)
    assert service.asked == []


def test_a_seed_always_draws_the_same() -> None:
    assert faults.blows(7, 60) == faults.blows(7, 60) != faults.blows(8, 60)
    assert faults.visits(7, 9, 60) == faults.visits(7, 9, 60) != faults.visits(8, 9, 60)
    assert [faults.fate(7, "kube", n) for n in range(99)] == [faults.fate(7, "kube", n) for n in range(99)]


@pytest.mark.parametrize("service", [*HTTP, *TCP])
def test_every_kind_of_fault_is_drawn_in_every_block(service: str) -> None:
    drawn = [faults.fate(3, service, number) for number in range(faults.BLOCK[service])]
    kinds = {fault.kind for fault in drawn if fault}
    assert kinds == set(faults.OF_TCP if service in TCP else Kind)


@pytest.mark.parametrize("seconds", [40, 600])
def test_everybody_is_struck_at_least_once(seconds: float) -> None:
    drawn = faults.blows(3, seconds)
    assert {blow.victim for blow in drawn if blow.victim} == set(VICTIMS)
    assert all(message in [blow.message for blow in drawn] for message in MESSAGES)
    assert max(blow.at_s for blow in drawn) < seconds + 5
