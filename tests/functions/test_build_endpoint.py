"""`/build` over HTTP: what its query may say, and who may come back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.application import make_application
from functions.core import build_tokens
from functions.core.errors import RateLimited, UpstreamError
from tests.fakes.world import Fakes, events

SSE = {"Accept": "text/event-stream"}
LINK = "/build/gh/owner/plots/main"
DONE = {"phase": "ready", "message": "Done! Found built image\n"}


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


def client(fakes: Fakes, **launches: Any) -> FlaskClient:
    fakes.settings["launches"] = {"secret": "s" * 32, **launches}
    return make_application(fakes.world()).test_client()


def stream(client: FlaskClient, link: str = LINK, **headers: str) -> list[dict[str, Any]]:
    response = client.get(link, headers={**SSE, **{name.replace("_", "-"): value for name, value in headers.items()}})
    assert (response.status_code, response.mimetype) == (200, "text/event-stream")
    return events(response.get_data(as_text=True).split("\n\n"))


def without_id(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "id"}


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_an_image_alone_can_be_asked_for(fakes: Fakes, value: str) -> None:
    image = fakes.image(fakes.know("owner/plots/main", built=True))
    [told] = stream(client(fakes, build_only=True), f"{LINK}?build_only={value}")
    assert without_id(told) == {**DONE, "imageName": image}
    assert (fakes.hub.created, fakes.hub.started) == ([], [])


def test_an_image_alone_is_built_if_it_must_be(fakes: Fakes) -> None:
    repo = fakes.know("owner/plots/main")
    response = client(fakes, build_only=True).get(f"{LINK}?build_only=true", headers=SSE)
    chunks = response.iter_encoded()
    while not fakes.backend.submitted:
        next(chunks)
    fakes.finish_build(repo, "a line")
    told = events([chunk.decode() for chunk in chunks])
    assert [event["phase"] for event in told] == ["unknown", "ready"]
    assert without_id(told[-1]) == {"phase": "ready", "imageName": fakes.image(repo), "message": "Done! Image built\n"}
    assert fakes.hub.created == []


def test_a_hub_with_the_api_alone_builds_without_launching(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    fakes.settings["web"] = {"api_only": True}
    assert stream(client(fakes), f"{LINK}?build_only=true")[0]["message"] == DONE["message"]


def test_an_image_alone_must_be_permitted(fakes: Fakes) -> None:
    fakes.know("owner/plots/main")
    [told] = stream(client(fakes), f"{LINK}?build_only=true")
    assert (told["phase"], told["status_code"]) == ("failed", 400)
    assert "not permitted" in told["message"]
    assert fakes.backend.submitted == []


@pytest.mark.parametrize("value", ["false", "1", "", "yes"])
def test_any_other_value_asks_for_a_server(fakes: Fakes, value: str) -> None:
    fakes.know("owner/plots/main", built=True)
    assert "url" in stream(client(fakes, build_only=True), f"{LINK}?build_only={value}")[-1]


def test_whoever_has_asked_for_an_image_gets_a_server_when_asking_for_one(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor = client(fakes, build_only=True)
    visitor.get("/v2/gh/owner/plots/main")
    stream(visitor, f"{LINK}?build_only=true")
    assert "url" in stream(visitor)[-1]


def token(fakes: Fakes, spec: str = "owner/plots/main", origin: str = "localhost") -> str:
    page = build_tokens.Page(provider="gh", raw_spec=spec, origin=origin)
    keys = build_tokens.token_keys(fakes.world().config.launches)
    return build_tokens.mint(page, keys, now=fakes.clock.now(), expires_s=300)


@pytest.mark.parametrize(
    ("link", "spec"),
    [
        pytest.param(LINK, "owner/plots/main", id="plain"),
        pytest.param(f"{LINK}/", "owner/plots/main/", id="trailing slash"),
    ],
)
def test_a_page_of_ours_may_launch(fakes: Fakes, link: str, spec: str) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor = client(fakes)
    assert stream(visitor, f"{link}?build_token={token(fakes, spec)}")[-1]["phase"] == "ready"


def test_a_page_may_be_on_the_site_that_stands_before_us(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor = client(fakes)
    link = f"{LINK}?build_token={token(fakes, origin='binder.example.org')}"
    assert stream(visitor, link, Origin="https://binder.example.org")[-1]["phase"] == "ready"
    assert stream(visitor, link, Origin="https://elsewhere.example.org")[-1]["phase"] == "failed"


@pytest.mark.parametrize("wrong", ["x", "a.b.c", "%00", "other page"])
def test_a_token_that_proves_nothing_is_worse_than_none(fakes: Fakes, wrong: str) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor = client(fakes)
    text = token(fakes, "other/page/main") if wrong == "other page" else wrong
    [told] = stream(visitor, f"{LINK}?build_token={text}")
    assert told.pop("id")
    assert told == {"phase": "failed", "status_code": 403, "message": "Invalid build token\n"}
    assert fakes.hub.created == []


def test_an_empty_token_is_none(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    assert stream(client(fakes), f"{LINK}?build_token=")[-1]["phase"] == "ready"


def test_a_token_whose_time_is_over_is_refused(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor, old = client(fakes), token(fakes)
    fakes.clock.time += 301
    assert stream(visitor, f"{LINK}?build_token={old}")[-1]["status_code"] == 403


def test_the_commit_of_an_hour_ago_is_launched_with_a_word_when_the_git_host_is_out(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor = client(fakes)
    stream(visitor)
    fakes.clock.time += 3600
    fakes.provider.fail("owner/plots/main", RateLimited("GitHub", retry_after_s=600))
    told = stream(visitor)
    assert told[0]["phase"] == "waiting"
    assert "GitHub asks us to wait 600 seconds. Going on with c0ffeec0ffee" in told[0]["message"]
    assert told[-1]["phase"] == "ready"


def test_a_browser_that_goes_on_by_itself_needs_no_fresh_token(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor = client(fakes)
    link = f"{LINK}?build_token={token(fakes)}"
    told = stream(visitor, link)
    fakes.clock.time += 301
    heard = next(event["id"] for event in told if event["phase"] == "launching")
    assert stream(visitor, link, Last_Event_ID=heard)[-1]["phase"] == "ready"
    assert stream(visitor, link, Last_Event_ID="nosuch.1")[-1]["status_code"] == 403


def test_the_page_hands_its_token_to_its_stream(fakes: Fakes) -> None:
    fakes.know("owner/plots/main", built=True)
    visitor = client(fakes)
    page = visitor.get("/v2/gh/owner/plots/main").get_data(as_text=True)
    found = re.search(r'"buildToken": "([^"]+)"', page)
    assert found is not None
    assert stream(visitor, f"{LINK}?build_token={found[1]}")[-1]["phase"] == "ready"
    assert [launch.build_token for launch in fakes.world().launches.where("running", "yes")] == [True]


def test_an_event_source_left_open_on_a_refusal_is_told_to_stop(fakes: Fakes) -> None:
    visitor = client(fakes)
    [told] = stream(visitor, "/build/gh/owner/nosuch/main")
    again = visitor.get("/build/gh/owner/nosuch/main", headers={**SSE, "Last-Event-ID": told["id"]})
    assert (told["status_code"], again.status_code) == (404, 204)


def test_an_event_source_may_ask_again_when_the_git_host_was_out(fakes: Fakes) -> None:
    visitor = client(fakes)
    fakes.provider.fail("owner/plots/main", UpstreamError("GitHub", "cannot be reached."))
    [told] = stream(visitor)
    assert (told["status_code"], "id" in told) == (502, False)


def first_phase(visitor: FlaskClient, link: str) -> str:
    """The phase of the first event; whoever asked is gone then."""
    response = visitor.get(link, headers=SSE, buffered=False)
    told = next(event for chunk in response.iter_encoded() for event in events([chunk.decode()]))
    response.close()
    return str(told["phase"])


def test_a_page_comes_back_to_a_long_build_with_the_token_it_began_with(fakes: Fakes) -> None:
    fakes.know("owner/plots/main")
    visitor = client(fakes)
    visitor.get("/v2/gh/owner/plots/main")
    link = f"{LINK}?build_token={token(fakes)}"
    assert first_phase(visitor, link) == "waiting"
    fakes.clock.sleep(301)
    assert first_phase(visitor, link) == "waiting"
    stranger = client(fakes)
    assert stream(stranger, link)[-1]["message"] == "Invalid build token\n"


def test_a_stream_that_is_refused_is_told_not_to_come_back(fakes: Fakes) -> None:
    fakes.know("owner/plots/main")
    visitor = client(fakes)
    for link in (f"{LINK}?build_token=x", f"{LINK}?build_only=true", "/build/nope/owner/plots/main"):
        [told] = stream(visitor, link)
        assert visitor.get(link, headers={**SSE, "Last-Event-ID": told["id"]}).status_code == 204
