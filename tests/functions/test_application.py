"""Pages and API over HTTP, without a server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from functions.core.resume import COOKIE, HOST_COOKIE
from tests.fakes.world import Fakes, events

SSE = {"Accept": "text/event-stream"}


@pytest.fixture
def fakes() -> Fakes:
    made = Fakes()
    made.know("owner/plots/main", built=True)
    return made


@pytest.fixture
def client(fakes: Fakes) -> FlaskClient:
    return make_application(fakes.world()).test_client()


def stream(client: FlaskClient, path: str = "/build/gh/owner/plots/main", **headers: str) -> list[dict[str, Any]]:
    response = client.get(path, headers={**SSE, **{name.replace("_", "-"): value for name, value in headers.items()}})
    assert response.status_code == 200
    assert response.mimetype == "text/event-stream"
    return events(response.get_data(as_text=True).split("\n\n"))


def test_a_launch_link_streams_to_a_ready_server(client: FlaskClient) -> None:
    assert stream(client)[-1]["phase"] == "ready"


@pytest.mark.parametrize("accept", ["text/event-stream", "text/event-stream, */*", "text/event-stream;q=0.9"])
def test_clients_ask_for_a_stream_in_several_ways(client: FlaskClient, accept: str) -> None:
    assert stream(client, Accept=accept)[-1]["phase"] == "ready"


@pytest.mark.parametrize("accept", ["", "*/*", "text/html"])
def test_who_does_not_ask_for_a_stream_gets_no_server(client: FlaskClient, fakes: Fakes, accept: str) -> None:
    [told] = stream(client, Accept=accept)
    assert (told["phase"], told["status_code"]) == ("failed", 400)
    assert fakes.hub.started == []


def test_errors_are_inside_the_stream(client: FlaskClient) -> None:
    [told] = stream(client, "/build/nope/x/y/z")
    assert told.pop("id")
    assert told == {"phase": "failed", "status_code": 400, "message": "No provider found for prefix nope\n"}


def test_a_stream_left_open_after_the_end_is_told_not_to_come_back(client: FlaskClient, fakes: Fakes) -> None:
    last = stream(client)[-1]
    [(user, _)] = fakes.hub.started
    fakes.hub.delete_user(user)
    response = client.get("/build/gh/owner/plots/main", headers={**SSE, "Last-Event-ID": last["id"]})
    assert (response.status_code, response.data) == (204, b"")
    assert len(fakes.hub.started) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_fail_inside_the_stream(client: FlaskClient, method: str) -> None:
    response = client.open("/build/gh/owner/plots/main", method=method, headers=SSE)
    assert response.status_code == 200
    [told] = events([response.get_data(as_text=True)])
    assert told.pop("id")
    assert told == {"phase": "failed", "status_code": 405, "message": "Method Not Allowed\n"}


def test_head_launches_nothing(client: FlaskClient, fakes: Fakes) -> None:
    assert client.head("/build/gh/owner/plots/main", headers=SSE).status_code == 200
    assert fakes.hub.started == []


def test_the_spec_is_read_as_it_was_sent(client: FlaskClient, fakes: Fakes) -> None:
    stream(client, "/build/gh/a%2Fb//c%20/../x%3F/")
    assert fakes.provider.asked == ["a%2Fb//c%20/../x%3F"]


def test_a_reload_of_the_page_finds_the_same_server(client: FlaskClient, fakes: Fakes) -> None:
    client.get("/v2/gh/owner/plots/main")
    first, again = stream(client)[-1], stream(client)[-1]
    assert first["url"] == again["url"]
    assert len(fakes.hub.started) == 1


def test_the_cookie_is_for_this_host_and_no_script(client: FlaskClient) -> None:
    cookie = client.get("/v2/gh/owner/plots/main").headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Domain" not in cookie


def test_without_the_cookie_two_people_have_two_servers(fakes: Fakes) -> None:
    clients = [make_application(fakes.world()).test_client() for _ in range(2)]
    assert len({stream(client)[-1]["url"] for client in clients}) == 2


def test_a_spec_cannot_write_into_the_page(client: FlaskClient) -> None:
    page = client.get("/v2/gh/owner/%22%3E%3Cscript%3Ealert(1)%3C/script%3E/<img src=x>").get_data(as_text=True)
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_pages_run_only_their_own_scripts(client: FlaskClient) -> None:
    answers = [client.get("/") for _ in range(2)]
    nonces = [re.findall(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"])[0] for answer in answers]
    assert nonces[0] != nonces[1]
    assert f'nonce="{nonces[0]}"' in answers[0].get_data(as_text=True)


def test_the_visitors_own_address_is_what_our_proxy_saw(client: FlaskClient) -> None:
    ready = stream(client, X_Forwarded_For="6.6.6.6, 192.0.2.7")[-1]
    assert ready["binder_client_ip"] == "192.0.2.7"


def test_an_id_that_a_sibling_host_may_have_planted_is_nobodys(fakes: Fakes) -> None:
    client = make_application(fakes.world()).test_client(use_cookies=False)
    planted, own = f"{COOKIE}={'a' * 32}", f"{HOST_COOKIE}={'b' * 32}"
    for cookie, keys in ((planted, 0), (own, 1)):
        headers = {**SSE, "Cookie": cookie, "X-Forwarded-Proto": "https"}
        assert events(client.get("/build/gh/owner/plots/main", headers=headers).get_data(as_text=True).split("\n\n"))
        assert sum(kind == "resume" for kind, _ in fakes.store.everything()) == keys


@pytest.mark.parametrize(("base_path", "name"), [("/", HOST_COOKIE), ("/hub/", COOKIE)])
def test_by_tls_the_cookie_is_bound_to_its_host(fakes: Fakes, base_path: str, name: str) -> None:
    fakes.settings["web"] = {"base_path": base_path}
    client = make_application(fakes.world()).test_client()
    page = client.get(f"{base_path}v2/gh/owner/plots/main", headers={"X-Forwarded-Proto": "https"})
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith(f"{name}=")
    assert "Domain" not in cookie and f"Path={base_path}" in cookie and "Secure" in cookie
