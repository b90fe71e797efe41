"""Requests that nobody sends by accident: each gets an answer, and the server goes on."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.serving import TOKEN, ServerThread, pod_body
from tests.emulator.kube.test_kube_process import call

DEEP = b'{"metadata":' + b"[" * 5000 + b"]" * 5000 + b"}"
BOMB = b"a: &a [1,1,1,1]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n"


def port_of(server: ServerThread) -> int:
    return urlsplit(server.url).port or 0


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b'{"metadata": "x"}',
        b'{"metadata": {"name": 5}}',
        b'{"metadata": {"name": "a", "labels": ["x"]}}',
        b'{"metadata": {"name": "a"}, "data": {"k": NaN}}',
        b'{"metadata": {"name": "a", "finalizers": {"x": 1}}}',
        b'{"metadata": {"name": "a", "ownerReferences": ["x"]}}',
        b"[1]",
        b"\xff\xfe",
        b"",
        BOMB,
    ],
    ids=["deep", "metadata", "name", "labels", "nan", "finalizers", "owners", "list", "bytes", "empty", "bomb"],
)
def test_a_body_of_the_wrong_form_is_a_bad_request(server: ServerThread, namespace: str, body: bytes) -> None:
    code, status = call(port_of(server), "POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
    assert (code, status["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": "x"},
        {"containers": [["x"]]},
        {"containers": [{"name": "c", "image": "i", "env": [5]}]},
        {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": {}}}}]},
        {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": "80"}]}]},
        {"tolerations": {"a": 1}},
        {"nodeSelector": ["a"]},
        {"terminationGracePeriodSeconds": "5"},
    ],
    ids=["containers", "container", "env", "cpu", "port", "tolerations", "selector", "grace"],
)
def test_a_pod_of_the_wrong_form_is_a_bad_request(server: ServerThread, namespace: str, spec: Any) -> None:
    body = json.dumps(pod_body("a", **spec)).encode()
    code, status = call(port_of(server), "POST", f"/api/v1/namespaces/{namespace}/pods", body)
    assert (code, status["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/namespaces/default/configmaps/..%2f..%2fsecrets", 404),
        ("/api/v1/namespaces/default/configmaps?limit=999999999999999999999", 400),
        ("/api/v1/namespaces/default/configmaps?resourceVersion=99999999999999999999999", 500),
        ("/api/v1/namespaces/default/configmaps?continue=AAAA", 400),
        ("/api/v1/namespaces/default/configmaps?continue=W0luZmluaXR5LCJhIiwiYiJd", 400),
        ("/api/v1/namespaces/default/configmaps?limit=%2B-5", 400),
        ("/api/v1/namespaces/default/configmaps?labelSelector=((((", 400),
        ("/api/v1/namespaces/default/configmaps?labelSelector=" + "a," * 3000 + "!", 400),
        ("/api/v1/namespaces/default/pods/none/log", 404),
        ("/apis/no/such/thing", 404),
        ("/%00", 404),
    ],
    ids=["path", "limit", "version", "continue", "infinity", "signs", "selector", "long", "log", "group", "zero"],
)
def test_nonsense_in_a_path_gets_an_answer(server: ServerThread, path: str, code: int) -> None:
    assert call(port_of(server), "GET", path)[0] == code


def test_a_body_can_be_too_large(server: ServerThread, namespace: str) -> None:
    body = json.dumps({"metadata": {"name": "a"}, "data": {"k": "x" * 4_000_000}}).encode()
    try:
        code, _status = call(port_of(server), "POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
    except ConnectionError:
        # The server may hang up while the client still sends.
        code = 413
    assert code == 413


def test_a_name_cannot_lead_a_log_request_elsewhere(server: ServerThread, core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    path = f"/api/v1/namespaces/{namespace}/pods/a/log?container=..%2f..%2fpods"
    assert call(port_of(server), "GET", path)[0] == 400


@pytest.mark.parametrize("port", ["%C2%B2", "99999999", "0", "9" * 5000], ids=["square", "large", "zero", "endless"])
def test_a_port_that_is_none_is_a_bad_request(server: ServerThread, core: Any, namespace: str, port: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    core.patch_namespaced_pod_status("a", namespace, {"status": {"podIP": "127.77.0.1"}})
    path = f"/api/v1/namespaces/{namespace}/pods/a:{port}/proxy/"
    assert call(port_of(server), "GET", path)[0] == 400


@pytest.mark.parametrize("grace", ["99999999999999", "9" * 5000], ids=["large", "endless"])
def test_a_grace_period_beyond_all_time_gets_an_answer(
    server: ServerThread, core: Any, kubelet: FakeKubelet, namespace: str, grace: str
) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", nodeName=kubelet.name, terminationGracePeriodSeconds=10**12))
    path = f"/api/v1/namespaces/{namespace}/pods/a"
    assert call(port_of(server), "DELETE", f"{path}?gracePeriodSeconds={grace}")[0] < 500
    code, pod = call(port_of(server), "DELETE", path)
    assert (code, pod["metadata"]["deletionTimestamp"]) == (200, "9999-12-31T23:59:59Z")


@pytest.mark.parametrize("path", ["/api/v1/secrets", "/api/v1/pods?watch=1", "/logs", "/api/v1/nodes/n/proxy/x"])
def test_a_weak_user_may_do_nothing(server: ServerThread, path: str) -> None:
    code, status = call(port_of(server), "GET", path, token="a-weak-token")
    assert (code, status["reason"]) == (403, "Forbidden")


def test_the_first_namespaces_cannot_be_deleted(server: ServerThread) -> None:
    for name in ("default", "kube-public", "kube-system"):
        assert call(port_of(server), "DELETE", f"/api/v1/namespaces/{name}")[0] == 403


def test_the_names_of_unknown_fields_cannot_break_a_header(server: ServerThread, namespace: str) -> None:
    names = ['a"b', "c\r\nSet-Cookie: x=y", "\0", "\N{SNOWMAN}", *(f"many{number}" for number in range(500))]
    body = {"metadata": {"name": "a"}} | dict.fromkeys(names, 1)
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=20)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connection.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", json.dumps(body), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    warnings = answer.headers.get_all("Warning") or []
    assert (answer.status, len(warnings)) == (201, 20)
    assert "Set-Cookie" not in answer.headers
    assert all(text.isprintable() and text.isascii() for text in warnings)
