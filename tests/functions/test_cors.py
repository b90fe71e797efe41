"""Which other sites' pages may use the API."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from tests.fakes.world import Fakes

SITE, OTHER = "https://book.example.org", "https://elsewhere.example"
LAUNCH = "/build/gh/owner/plots/main"
CLOSED = ["/", "/about", "/health", LAUNCH, "/v2/gh/owner/plots/main", "/v2/gh/owner", "/nosuch", "/_config"]
OPEN = ["/versions", "/api/repoproviders", "/badge.svg", "/badge_logo.svg", "/assets/style.css", "/logo_social.png"]


def a_client(*origins: str) -> FlaskClient:
    return make_application(Fakes(settings={"web": {"cors_allow_origins": list(origins)}}).world()).test_client()


def ask(client: FlaskClient, path: str, origin: str = "", method: str = "GET", **headers: str) -> dict[str, str]:
    sent = {"Accept": "text/event-stream", **headers} | ({"Origin": origin} if origin else {})
    with client.open(path, method=method, headers=sent) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("path", CLOSED + OPEN)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_where_all_sites_are_allowed_each_can_read_every_answer(path: str, method: str) -> None:
    answer = ask(a_client("*"), path, OTHER, method)
    assert answer["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE"])
def test_where_some_sites_are_allowed_only_they_are_named(path: str, method: str) -> None:
    client = a_client(SITE, "https://second.example")
    assert ask(client, path, SITE, method)["access-control-allow-origin"] == SITE
    for stranger in ("", OTHER, "null", f"{SITE}.evil.example", "*", f"{SITE}, {OTHER}"):
        answer = ask(client, path, stranger, method)
        assert "access-control-allow-origin" not in answer
        assert answer["vary"] == "Origin"


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_what_any_site_may_show_is_open_whatever_is_configured(path: str, method: str) -> None:
    for client in (a_client(), a_client(SITE)):
        assert ask(client, path, OTHER, method)["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", CLOSED)
def test_no_other_site_is_allowed_unless_configured(path: str) -> None:
    answer = ask(a_client(), path, OTHER, "OPTIONS")
    assert not {"access-control-allow-origin", "vary"} & answer.keys()


def test_a_browser_may_send_what_clients_of_binderhub_send() -> None:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-evil"}
    with a_client("*").options(LAUNCH, headers={"Origin": OTHER, **asked}) as answer:
        assert (answer.status_code, answer.get_data()) == (204, b"")
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "cache-control", "content-type", "last-event-id", "x-xsrftoken"} <= set(allowed)
    assert "x-evil" not in allowed
    assert "Content-Type" not in answer.headers
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_asking_for_leave_launches_nothing() -> None:
    fakes = Fakes(settings={"web": {"cors_allow_origins": ["*"]}})
    fakes.know("owner/plots/main", built=True)
    ask(make_application(fakes.world()).test_client(), LAUNCH, OTHER, "OPTIONS")
    assert (fakes.provider.asked, fakes.hub.started) == ([], [])


def test_pages_can_read_how_long_they_have_to_wait() -> None:
    exposed = ask(a_client("*"), LAUNCH, OTHER)["access-control-expose-headers"]
    assert exposed == "Location, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
