"""Everything below a path: a hub that shares its host with other things."""

from __future__ import annotations

import json
import re

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from tests.fakes.world import Fakes, events

BASE = "/services/binder/"
SSE = {"Accept": "text/event-stream"}


@pytest.fixture
def client() -> FlaskClient:
    fakes = Fakes(settings={"web": {"base_path": BASE}})
    fakes.know("owner/plots/main", built=True)
    return make_application(fakes.world()).test_client()


PATHS = ["", "about", "v2/gh/owner/plots/main", "versions", "health", "api/repoproviders", "badge.svg", "_config"]


@pytest.mark.parametrize("path", PATHS)
def test_every_address_is_below_the_base_path_and_nowhere_else(client: FlaskClient, path: str) -> None:
    with client.get(BASE + path) as below, client.get(f"/{path}") as outside:
        assert (below.status_code, outside.status_code) == (200, 404)


def test_a_launch_below_the_base_path_ends_in_a_server(client: FlaskClient) -> None:
    answer = client.get(f"{BASE}build/gh/owner/plots/main", headers=SSE)
    ready = events(answer.get_data(as_text=True).split("\n\n"))[-1]
    assert ready["phase"] == "ready"
    assert ready["binder_launch_host"] == f"http://localhost{BASE}"
    assert ready["binder_request"] == "v2/gh/owner/plots/main"


def test_a_stream_outside_the_base_path_is_not_there(client: FlaskClient) -> None:
    assert client.get("/build/gh/owner/plots/main", headers=SSE).status_code == 404


@pytest.mark.parametrize("path", ["", "about", "v2/gh/owner/plots/main", "nosuch"])
def test_pages_link_only_below_the_base_path(client: FlaskClient, path: str) -> None:
    page = client.get(BASE + path).get_data(as_text=True)
    links = re.findall(r'(?:href|src|content)="((?:http://localhost)?/[^"]*)"', page)
    assert len(links) > 3
    for link in links:
        assert link.startswith((BASE, f"http://localhost{BASE}"))


def test_pages_tell_their_scripts_the_base_path(client: FlaskClient) -> None:
    page = client.get(f"{BASE}v2/gh/owner/plots/main").get_data(as_text=True)
    config = json.loads(re.findall(r"window\.pageConfig = (\{.*?\});</script>", page)[0])
    assert (config["baseUrl"], config["badgeBaseUrl"]) == (BASE, f"http://localhost{BASE}")
    assert config["logoUrl"].startswith(BASE)


def test_the_cookie_is_not_for_our_neighbours(client: FlaskClient) -> None:
    cookie = client.get(f"{BASE}v2/gh/owner/plots/main").headers["Set-Cookie"]
    assert f"Path={BASE}" in cookie.split("; ")


def test_a_reload_below_the_base_path_finds_the_same_server(client: FlaskClient) -> None:
    client.get(f"{BASE}v2/gh/owner/plots/main")
    answers = [client.get(f"{BASE}build/gh/owner/plots/main", headers=SSE).get_data(as_text=True) for _ in range(2)]
    assert len({events(answer.split("\n\n"))[-1]["url"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/services/binder", BASE),
        (f"{BASE}repo/owner/plots/a.ipynb", f"{BASE}v2/gh/owner/plots/master?urlpath=%2Fa.ipynb"),
    ],
)
def test_redirects_stay_below_the_base_path(client: FlaskClient, path: str, location: str) -> None:
    # Relative: behind a load balancer we do not know what address people use.
    assert client.get(path).headers["Location"] == location
