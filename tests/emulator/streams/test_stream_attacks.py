"""What a client of the streams tries, and must not be able to."""

from __future__ import annotations

import http.client
import struct
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from websocket import create_connection

from emulator.kubelet import spdy
from tests.emulator.kubelet.cluster import TOKEN, Namespace
from tests.emulator.streams.conftest import BOB, Stage

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
}
COMMAND = "command=id&stdout=true"


def answer(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Ask for a stream; return code and text, of 101 no text."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, headers=UPGRADE | {name.replace("_", "-"): h for name, h in headers.items()})
        response = connection.getresponse()
        return response.status, "" if response.status == 101 else response.read().decode()
    finally:
        connection.close()


def kubelet_of(stage: Stage) -> str:
    node = stage.cluster.get(f"/api/v1/nodes/{stage.cluster.node}")
    return f"http://127.0.0.1:{node['status']['daemonEndpoints']['kubeletEndpoint']['Port']}"


@pytest.mark.parametrize("kind", ["exec", "attach", "portForward"])
@pytest.mark.parametrize("token", ["", BOB, "wrong"])
def test_the_kubelet_knows_its_token_only(stage: Stage, namespace: Namespace, pod: str, kind: str, token: str) -> None:
    path = f"/{kind}/{namespace.name}/{pod}" + ("" if kind == "portForward" else "/main?command=id&output=1")
    assert answer(kubelet_of(stage), path, Authorization=f"Bearer {token}")[0] == 401


@pytest.mark.parametrize("part", ["exec", "attach", "portforward"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_in_particular_gets_no_stream(
    stage: Stage, namespace: Namespace, pod: str, part: str, method: str
) -> None:
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/{part}?{COMMAND}"
    assert answer(stage.server.url, path, method)[0] == 403
    assert answer(stage.server.url, path, method, Authorization=f"Bearer {BOB}")[0] == 403
    assert answer(stage.server.url, path, method, Authorization="Bearer wrong")[0] == 401


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("stdout=true", "at least 1 command"),
        ("command=id", "at least 1 of stdin, stdout, stderr"),
        (f"{COMMAND}&container=other", "container other is not valid"),
        (f"{COMMAND}&container=main%2F..%2F..%2FcontainerLogs", "is not valid"),
    ],
)
def test_what_makes_no_sense_is_refused(stage: Stage, namespace: Namespace, pod: str, query: str, why: str) -> None:
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/exec?{query}"
    code, text = answer(stage.server.url, path, Authorization=f"Bearer {TOKEN}")
    assert code == 400
    assert why in text


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Upgrade": "SPDY/3.1"}, "only WebSockets"),
        ({"Upgrade": ""}, "Upgrade request required"),
        ({"Sec-WebSocket-Protocol": "chat"}, "the subprotocols are v5.channel.k8s.io, v4.channel.k8s.io"),
    ],
)
def test_who_speaks_something_else_is_told(
    stage: Stage, namespace: Namespace, pod: str, headers: dict[str, str], why: str
) -> None:
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/exec?{COMMAND}"
    code, text = answer(stage.server.url, path, Authorization=f"Bearer {TOKEN}", **headers)
    assert code == 400
    assert why in text


@pytest.mark.parametrize("ports", ["0", "65536", "-1", "x", "8888,", "%D9%A1", "1" * 5000, ",".join(["1"] * 129)])
def test_ports_that_are_none_are_refused(stage: Stage, namespace: Namespace, pod: str, ports: str) -> None:
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/portforward?ports={ports}"
    headers = {"Authorization": f"Bearer {TOKEN}", "Sec-WebSocket-Protocol": "v4.channel.k8s.io"}
    assert answer(stage.server.url, path, **headers)[0] == 400


def session(stage: Stage, namespace: Namespace, path: str, protocol: str) -> Any:
    url = f"{stage.server.url.replace('http', 'ws')}/api/v1/namespaces/{namespace.name}/pods/a/{path}"
    return create_connection(url, header={"Authorization": f"Bearer {TOKEN}"}, subprotocols=[protocol], timeout=20)


@pytest.mark.parametrize(
    "nonsense", [b"", b"\x04", b"\x04{}", b'\x04{"Width": 99999999, "Height": -1}', b"\x04[]", b"\xff\x01", b"\x09x"]
)
def test_nonsense_on_the_channels_does_no_harm(stage: Stage, namespace: Namespace, pod: str, nonsense: bytes) -> None:
    query = "exec?command=cat&stdin=true&stdout=true&tty=true"
    connection = session(stage, namespace, query, "v5.channel.k8s.io")
    connection.send_binary(nonsense)
    connection.send_binary(b"\0still here\n")
    said = b""
    while b"still here" not in said:
        said += connection.recv()[1:]
    connection.close()


BOMB = zlib.compressobj(zdict=spdy.DICTIONARY)
BLOCK = BOMB.compress(struct.pack(">I", 1) + b"\0\0\0\1x" + struct.pack(">I", 10**7) + bytes(10**7))
BLOCK += BOMB.flush(zlib.Z_SYNC_FLUSH)


def control(kind: int, content: bytes) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, len(content)) + content


@pytest.mark.parametrize(
    "bytes_of_a_stranger",
    [
        control(1, bytes(10) + BLOCK),
        control(1, bytes(10) + b"not compressed"),
        control(1, b""),
        control(6, b"123"),
        struct.pack(">HHI", 0x8002, 1, 0),
        struct.pack(">II", 1, 0xFFFFFF),
    ],
    ids=["bomb", "garbage", "short", "ping", "version", "length"],
)
def test_a_tunnel_ends_with_the_first_thing_that_is_no_spdy(
    stage: Stage, namespace: Namespace, pod: str, bytes_of_a_stranger: bytes
) -> None:
    connection = session(stage, namespace, "portforward", "SPDY/3.1+portforward.k8s.io")
    connection.send_binary(bytes_of_a_stranger)
    assert not connection.recv()
    connection.shutdown()


def test_streams_that_belong_to_no_connection_are_reset(stage: Stage, namespace: Namespace, pod: str) -> None:
    headers = {"streamtype": "data", "port": "80; rm", "requestid": "0"}
    packed = b"".join(struct.pack(">I", len(text)) + text.encode() for pair in headers.items() for text in pair)
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = deflate.compress(struct.pack(">I", len(headers)) + packed) + deflate.flush(zlib.Z_SYNC_FLUSH)
    connection = session(stage, namespace, "portforward", "SPDY/3.1+portforward.k8s.io")
    connection.send_binary(control(1, struct.pack(">IIH", 1, 0, 0) + block))
    assert connection.recv() == spdy.Connection.reset(1)
    connection.close()
