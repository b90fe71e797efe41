"""Scripts that follow a launch with nothing but an HTTP library, and what is on the wire for them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.clients.conftest import spec_of
from tests.e2e.stack import ROOT, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

EVENT = rb"id: [a-z0-9]+\.(\d+)\ndata: (\{[^\n]+\})\n\n"


def test_a_script_that_looks_at_data_lines_only(stack: Stack, plain: str) -> None:
    headers = {"Accept": "text/event-stream"}
    phases = []
    with requests.get(f"{stack.url}/build/{spec_of(plain)}", headers=headers, stream=True, timeout=60) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith(b"data:"):
                phases.append(json.loads(line.removeprefix(b"data:"))["phase"])
            if phases[-1:] in (["ready"], ["failed"]):
                break
    assert list(dict.fromkeys(phases)) == ["built", "launching", "ready"]


def test_the_script_of_the_documentation(stack: Stack, plain: str) -> None:
    [script] = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "clients.md").read_text(), re.MULTILINE | re.DOTALL
    )
    command = [sys.executable, "-c", script, stack.url, spec_of(plain)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert requests.get(done.stdout.strip(), timeout=60).status_code == 200


def raw_answer(stack: Stack, path: str, accept: str) -> tuple[bytes, bytes]:
    """Head and body of the answer, byte for byte, until the other side closes."""
    address = urlsplit(stack.url)
    # HTTP/1.0, so that the body comes without chunks between its bytes.
    request = f"GET {path} HTTP/1.0\r\nHost: {address.netloc}\r\nAccept: {accept}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.lower(), body


def test_the_stream_of_a_known_image_on_the_wire(stack: Stack, plain: str) -> None:
    head, body = raw_answer(stack, f"/build/{spec_of(plain)}", "text/event-stream")
    assert re.match(rb"http/1\.[01] 200 ", head)
    assert b"\r\ncontent-type: text/event-stream" in head
    assert b"\r\ncache-control: no-cache" in head
    # Comments may stand between any two events.
    body = body.replace(b":keepalive\n\n", b"")
    assert re.fullmatch(rb"retry: \d+\n\n(" + EVENT + rb")+", body)
    told = re.findall(EVENT, body)
    numbers = [int(number) for number, _ in told]
    assert numbers == sorted(set(numbers))
    assert json.loads(told[-1][1])["phase"] == "ready"


@pytest.mark.parametrize("accept", ["text/event-stream", "text/event-stream, */*", "*/*, text/event-stream;q=0.9"])
def test_whoever_accepts_events_gets_them(stack: Stack, plain: str, accept: str) -> None:
    _, body = raw_answer(stack, f"/build/{spec_of(plain, 'no-such-branch')}", accept)
    assert b"no-such-branch" in body
