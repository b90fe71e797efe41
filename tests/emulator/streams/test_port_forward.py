"""Connections to the ports of pods: kubectl's tunnel and the official library's channels judge."""

from __future__ import annotations

import http.client
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.stream import portforward

from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kubelet.cluster import PYTHON, Namespace, eventually
from tests.emulator.streams.conftest import ROLE
from tests.ports import listens

# Says how many bytes came before the end of the input, and then so many of its own.
COUNTER = """
import os, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        count = 0
        while chunk := self.request.recv(65536):
            count += len(chunk)
        self.wfile.write(b"%d\\n" % count + b"x" * count)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, request_queue_size = True, 64
Server((os.environ["IP"], 8888), Handler).serve_forever()
"""
# Without bubblewrap, root's containers are users who may not enter root's home.
PROGRAM = shutil.which("python3", path="/usr/bin:/usr/local/bin") or PYTHON
WEB = f"{PROGRAM} -m http.server --bind $IP 8888"
IP = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def listening(namespace: Namespace, command: list[str]) -> str:
    """Run a pod with a server on its port 8888; return its name when the server answers."""
    namespace.run(command=command, env=[IP], terminationGracePeriodSeconds=0)
    address = namespace.phase("Running")["status"]["podIP"]
    eventually(lambda: listens(address, 8888))
    return "a"


@contextmanager
def forwarded(kubectl: Kubectl, pod: str, port: str = "8888") -> Iterator[int]:
    """Run a port-forward within the context; yield its local port."""
    with kubectl.start("port-forward", f"pod/{pod}", f":{port}", "--address", "127.0.0.1") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield int(line.split("->")[0].rpartition(":")[2])
        finally:
            process.terminate()


def test_a_web_server_answers_through_the_tunnel(kubectl: Kubectl, namespace: Namespace) -> None:
    with forwarded(kubectl, listening(namespace, ["sh", "-c", WEB])) as port:
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/README")
            assert connection.getresponse().read() == b"hello\n"
            connection.close()


def test_many_connections_at_once_are_kept_apart_and_whole(kubectl: Kubectl, namespace: Namespace) -> None:
    def send(size: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"y" * size)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                return answer.read()

    sizes = [1000 * number + number for number in range(24)] + [3_000_000]
    with forwarded(kubectl, listening(namespace, [PROGRAM, "-c", COUNTER])) as port, ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(send, sizes))
    assert answers == [b"%d\n" % size + b"x" * size for size in sizes]


def test_a_port_where_nobody_listens_is_told(kubectl: Kubectl, pod: str) -> None:
    with kubectl.start("port-forward", f"pod/{pod}", ":7") as process:
        assert process.stdout is not None and process.stderr is not None
        port = int(process.stdout.readline().split("->")[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            assert connection.recv(1) == b""
        told = process.stderr.readline()
        process.terminate()
    assert "error forwarding port 7" in told
    assert "refused" in told


def test_a_connection_ends_with_its_client(kubectl: Kubectl, namespace: Namespace) -> None:
    script = """
import os, socket
server = socket.create_server((os.environ["IP"], 8888))
while True:
    connection, _ = server.accept()
    print("begins", connection.recv(9), flush=True)
    print("ends", connection.recv(9), flush=True)
"""
    pod = listening(namespace, [PROGRAM, "-c", script])
    with forwarded(kubectl, pod) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"hello")
        eventually(lambda: namespace.output().endswith("begins b'hello'\n"))
    eventually(lambda: namespace.output().endswith("begins b'hello'\nends b''\n"))


def test_the_library_forwards_ports(core: Any, namespace: Namespace) -> None:
    listening(namespace, ["sh", "-c", WEB])
    forward = portforward(core.connect_get_namespaced_pod_portforward, "a", namespace.name, ports="8888,7")
    connection = forward.socket(8888)
    connection.setblocking(True)
    connection.sendall(b"GET /README HTTP/1.0\r\n\r\n")
    answer = b""
    while chunk := connection.recv(4096):
        answer += chunk
    forward.close()
    eventually(lambda: not forward.connected)
    # After a farewell of the server the library leaves its socket open.
    forward.websocket.shutdown()
    assert answer.endswith(b"\r\n\r\nhello\n")
    assert forward.error(7) == "error forwarding port 7: Connection refused"


@pytest.mark.parametrize("verbs", ["[get]", "[create]"])
def test_forwarding_needs_the_right_to_create_it(
    verbs: str, kubectl: Kubectl, bobs_kubectl: Kubectl, namespace: Namespace
) -> None:
    pod = listening(namespace, ["sh", "-c", WEB])
    kubectl("apply", "-f", "-", given=ROLE.format(parts="pods/portforward", verbs=verbs))
    if "create" in verbs:
        with forwarded(bobs_kubectl, pod) as port:
            assert listens("127.0.0.1", port)
    else:
        refused = bobs_kubectl("port-forward", f"pod/{pod}", ":8888", fails=True)
        assert 'cannot create resource "pods/portforward"' in refused
