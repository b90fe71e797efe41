"""JupyterHub's answers that a healthy Hub does not give; the contract is tried on a real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.adapters.http import HttpClient, Retry
from functions.adapters.jupyterhub import JupyterHub
from functions.core.errors import LaunchFailed, RateLimited, UpstreamError, UpstreamTimeout
from functions.core.ports import HubProgress
from tests.fakes.web import Reply, Web

RUNNING = {"name": "u", "servers": {"": {"ready": True, "pending": None, "url": "/user/u/"}}}
STOPPING = {"name": "u", "servers": {"": {"ready": False, "pending": "stop", "url": "/user/u/"}}}
IDLE = {"name": "u", "servers": {}}


@pytest.fixture
def hub(web: Web) -> JupyterHub:
    return hub_at(web, timeout_s=10)


def hub_at(web: Web, *, timeout_s: float) -> JupyterHub:
    client = HttpClient(
        "JupyterHub",
        f"{web.url}/hub/api",
        headers={"Authorization": "token t"},
        timeout_s=timeout_s,
        retry=Retry(attempts=3, first_s=0.001),
    )
    return JupyterHub(client, url="https://hub.example.org/", quiet_s=0.05)


def answers(**by_method: tuple[int, Any]) -> Callable[[Reply], None]:
    """The same answer to every request with a method."""

    def answer(reply: Reply) -> None:
        status, body = by_method[reply.command]
        reply.send(status, b"" if body is None else json.dumps(body).encode())

    return answer


def asked(web: Web) -> list[tuple[str, str]]:
    return [(seen.method, seen.path.removeprefix("/hub/api")) for seen in web.seen]


def test_the_options_are_the_body_and_the_token_is_sent(web: Web, hub: JupyterHub) -> None:
    web.answer = answers(POST=(202, None))
    hub.start_server("u", {"image": "x:1", "token": "secret"})
    (seen,) = web.seen
    assert (seen.path, seen.headers["authorization"]) == ("/hub/api/users/u/server", "token t")
    assert json.loads(seen.body) == {"image": "x:1", "token": "secret"}


@pytest.mark.parametrize("model", [RUNNING], ids=["running"])
def test_400_for_a_server_that_is_there_means_already_mine(web: Web, hub: JupyterHub, model: Any) -> None:
    web.answer = answers(POST=(400, {"message": "u is already running"}), GET=(200, model))
    hub.start_server("u", {})


@pytest.mark.parametrize(("status", "model"), [(200, IDLE), (404, {})], ids=["no server", "no user"])
def test_400_for_a_server_that_is_not_there_is_final(web: Web, hub: JupyterHub, status: int, model: Any) -> None:
    web.answer = answers(POST=(400, {"message": "image: not allowed here"}), GET=(status, model))
    with pytest.raises(LaunchFailed, match="JupyterHub did not start the server: image: not allowed here"):
        hub.start_server("u", {})
    assert [method for method, _ in asked(web)] == ["POST", "GET"]


def test_400_for_a_server_that_is_stopping_is_for_later(web: Web, hub: JupyterHub) -> None:
    web.answer = answers(POST=(400, {"message": "u is pending stop"}), GET=(200, STOPPING))
    with pytest.raises(UpstreamError, match="still stopping"):
        hub.start_server("u", {})


def test_403_is_final(web: Web, hub: JupyterHub) -> None:
    web.answer = answers(POST=(403, {"message": "Action is not authorized"}))
    with pytest.raises(LaunchFailed, match="Action is not authorized"):
        hub.start_server("u", {})
    with pytest.raises(LaunchFailed, match="Action is not authorized"):
        hub.create_user("u")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": null}', b"[" * 100_000])
def test_a_refusal_without_words_is_one_too(web: Web, hub: JupyterHub, body: bytes) -> None:
    web.answer = lambda reply: reply.send(403, body)
    with pytest.raises(LaunchFailed):
        hub.create_user("u")


def test_429_says_when_to_come_back(web: Web, hub: JupyterHub) -> None:
    web.answer = lambda reply: reply.send(429, headers={"Retry-After": "42"})
    with pytest.raises(RateLimited) as caught:
        hub.start_server("u", {})
    assert caught.value.retry_after_s == 42
    assert len(web.seen) == 1


def test_a_hub_that_stumbles_is_asked_again(web: Web, hub: JupyterHub) -> None:
    statuses = [502, 500, 201]
    web.answer = lambda reply: reply.send(statuses.pop(0))
    hub.create_user("u")
    assert len(web.seen) == 3


def test_a_hub_that_is_down_is_not_asked_for_ever(web: Web, hub: JupyterHub) -> None:
    web.answer = lambda reply: reply.send(503)
    with pytest.raises(UpstreamError):
        hub.start_server("u", {})
    assert len(web.seen) == 3
    assert not hub.healthy()


def test_a_server_is_stopped_before_its_user_is_deleted(web: Web, hub: JupyterHub) -> None:
    web.answer = answers(DELETE=(204, None))
    hub.delete_user("u")
    assert asked(web) == [("DELETE", "/users/u/server"), ("DELETE", "/users/u")]


def test_a_user_whose_server_is_active_is_to_be_deleted_later(web: Web, hub: JupyterHub) -> None:
    web.answer = lambda reply: reply.send(202 if reply.path.endswith("server") else 500)
    with pytest.raises(UpstreamError):
        hub.delete_user("u")


def test_users_come_page_by_page(web: Web, hub: JupyterHub) -> None:
    def answer(reply: Reply) -> None:
        offset = int(parse_qs(urlsplit(reply.path).query)["offset"][0])
        following = {"offset": offset + 2} if offset < 4 else None
        items = [{"name": f"u{offset + n}", "admin": n == 1} for n in range(2)]
        reply.send(200, json.dumps({"items": items, "_pagination": {"next": following}}).encode())

    web.answer = answer
    pages = [hub.users(), hub.users(2), hub.users(4)]
    assert [[user.name for user in page.users] for page in pages] == [["u0", "u1"], ["u2", "u3"], ["u4", "u5"]]
    assert [user.admin for user in pages[0].users] == [False, True]
    assert [page.next_offset for page in pages] == [2, 4, None]
    assert {seen.headers["accept"] for seen in web.seen} == {"application/jupyterhub-pagination+json"}


@pytest.mark.parametrize("body", [b"[]", b"{}", b"1", b'{"name": 1, "servers": 2}', b'{"name": "u", "created": "x"}'])
def test_a_model_that_nobody_can_read_is_an_error_of_ours(web: Web, hub: JupyterHub, body: bytes) -> None:
    web.answer = lambda reply: reply.send(200, body)
    with pytest.raises(UpstreamError):
        hub.user("u")
    with pytest.raises(UpstreamError):
        hub.users()


def test_a_user_that_nobody_can_read_does_not_hide_the_others(web: Web, hub: JupyterHub) -> None:
    items = [{"name": "u1"}, {"name": "u2", "created": "x"}, 3, {"name": "u4"}]
    web.answer = lambda reply: reply.send(200, json.dumps({"items": items, "_pagination": {"next": None}}).encode())
    page = hub.users()
    assert ([user.name for user in page.users], page.unreadable) == (["u1", "u4"], 2)


def progress_of(web: Web, hub: JupyterHub, *chunks: bytes) -> list[HubProgress]:
    def answer(reply: Reply) -> None:
        reply.send_response(200)
        reply.send_header("Transfer-Encoding", "chunked")
        reply.end_headers()
        for chunk in chunks:
            reply.chunk(chunk)
        reply.chunk(b"")

    web.answer = answer
    return [event for event in hub.progress("u") if event is not None]


def test_progress_is_read_however_it_is_cut(web: Web, hub: JupyterHub) -> None:
    chunks = (b"\n\nda", b'ta: {"message": "one"}\n', b'\n: comment\n\ndata:{"message": "two", "ready": true}\n\n')
    assert progress_of(web, hub, *chunks) == [HubProgress(message="one"), HubProgress(message="two", ready=True)]


def test_nothing_is_read_after_the_end(web: Web, hub: JupyterHub) -> None:
    chunks = (b'data: {"failed": true}\n\n', b'data: {"ready": true}\n\n')
    assert progress_of(web, hub, *chunks) == [HubProgress(message="", failed=True)]


@pytest.mark.parametrize("data", [b"{", b"[]", b"1", b"", b"[" * 100_000])
def test_progress_that_nobody_can_read_is_an_error_of_ours(web: Web, hub: JupyterHub, data: bytes) -> None:
    with pytest.raises(UpstreamError):
        progress_of(web, hub, b"data: " + data + b"\n\n")


def test_a_silent_hub_is_not_waited_for_when_something_is_asked(web: Web) -> None:
    released: list[Reply] = []
    web.answer = released.append
    with pytest.raises(UpstreamTimeout):
        hub_at(web, timeout_s=0.1).user("u")


@pytest.mark.parametrize(
    ("user", "url"),
    [
        ("u-1", "https://hub.example.org/user/u-1/"),
        ("a b", "https://hub.example.org/user/a%20b/"),
        ("a@b", "https://hub.example.org/user/a@b/"),
    ],
)
def test_a_server_is_below_the_hub(hub: JupyterHub, user: str, url: str) -> None:
    assert hub.server_url(user) == url
