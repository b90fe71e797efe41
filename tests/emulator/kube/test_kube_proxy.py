"""The proxy of the API server: to pods, to services, to kubelets."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import KUBELET_TOKEN, PATIENCE_S, TOKEN, ServerThread, eventually, pod_body


class Notebook(ThreadingHTTPServer):
    """What a pod serves: it says what it was asked, and how."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = self.server_address[1]
        self.headers: list[dict[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Notebook

    def do_POST(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        said = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        body = f"{self.command} {self.path} {said}".strip().encode()
        self.send_response(418 if self.path == "/teapot" else 200)
        self.send_header("X-From", "pod")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_DELETE = do_POST

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    with Notebook() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join(PATIENCE_S)


@pytest.fixture
def pod(core: Any, kubelet: FakeKubelet, namespace: str, notebook: Notebook) -> str:
    """A pod whose address is that of the notebook."""
    body = pod_body("a", nodeSelector={"of": kubelet.name})
    body["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": notebook.port}]
    core.create_namespaced_pod(namespace, body | {"metadata": {"name": "a", "labels": {"app": "x"}}})
    eventually(lambda: core.read_namespaced_pod("a", namespace).spec.node_name)
    kubelet.run(namespace, "a")
    core.patch_namespaced_pod_status("a", namespace, {"status": {"podIP": "127.0.0.1"}})
    return f"/api/v1/namespaces/{namespace}/pods/a"


def ask(
    server: ServerThread, method: str, path: str, body: str = "", token: str = TOKEN, **headers: str
) -> tuple[int, str]:
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE_S)
    connection.request(method, path, body, {"Authorization": f"Bearer {token}", "Cookie": "a=b"} | headers)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_request_reaches_a_pod_with_its_path_query_and_body(
    server: ServerThread, pod: str, notebook: Notebook
) -> None:
    assert ask(server, "GET", f"{pod}/proxy/a%2Fb/c?x=y%26z") == (200, "GET /a%2Fb/c?x=y%26z")
    assert ask(server, "POST", f"{pod}:http/proxy/in", "hello")[1] == "POST /in hello"
    assert ask(server, "DELETE", f"{pod}:{notebook.port}/proxy/teapot")[0] == 418


def test_a_pod_never_sees_the_token(server: ServerThread, pod: str, notebook: Notebook) -> None:
    ask(server, "GET", f"{pod}/proxy/")
    assert TOKEN not in json.dumps(notebook.headers)
    assert KUBELET_TOKEN not in json.dumps(notebook.headers)


def test_a_pod_never_sees_who_speaks_for_whom(server: ServerThread, pod: str, notebook: Notebook) -> None:
    ask(server, "GET", f"{pod}/proxy/", **{"Impersonate-User": "admin", "Impersonate-Group": "system:masters"})
    assert [name for seen in notebook.headers for name in seen if name.startswith("impersonate")] == []
    assert len(notebook.headers) == 1


def test_a_service_leads_to_a_pod_that_is_ready(
    server: ServerThread, core: Any, kubelet: FakeKubelet, namespace: str, pod: str
) -> None:
    spec = {"selector": {"app": "x"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]}
    core.create_namespaced_service(namespace, {"metadata": {"name": "s"}, "spec": spec})
    path = f"/api/v1/namespaces/{namespace}/services/s"
    eventually(lambda: ask(server, "GET", f"{path}/proxy/x")[0] == 200)
    assert ask(server, "GET", f"{path}:web/proxy/x") == (200, "GET /x")
    assert ask(server, "GET", f"{path}:other/proxy/x")[0] == 503
    kubelet.finish(namespace, "a")
    eventually(lambda: ask(server, "GET", f"{path}/proxy/x")[0] == 503)


def test_a_pod_that_does_not_listen_is_told(server: ServerThread, pod: str) -> None:
    code, text = ask(server, "GET", f"{pod}:1/proxy/")
    assert (code, json.loads(text)["reason"]) == (503, "ServiceUnavailable")
    assert "connection refused" in text


def test_who_may_not_proxy_reaches_nothing(server: ServerThread, pod: str, notebook: Notebook) -> None:
    assert ask(server, "GET", f"{pod}/proxy/", token="a-weak-token")[0] == 403
    assert notebook.headers == []


def test_a_node_leads_to_its_kubelet(server: ServerThread, kubelet: FakeKubelet) -> None:
    assert ask(server, "GET", f"/api/v1/nodes/{kubelet.name}/proxy/logs")[1] == "one\ntwo\n"
    assert kubelet.requests == [("/logs", f"Bearer {KUBELET_TOKEN}")]
