"""The rate at which one sender may ask, at the addresses where it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from functions import admin
from functions.application import make_application
from functions.core import build_tokens
from functions.core.build_tokens import Page
from functions.core.errors import UpstreamTimeout
from functions.core.launch import Phase
from tests.fakes.world import Fakes, events
from tests.functions.following import SPEC

CLIENT = "198.51.100.7"
LIMIT, REMAINING, RESET = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"
KEY = "0b9c3f52-6a5e-4f0e-9c53-0a4e2a2f8d11"


@pytest.fixture
def fakes() -> Fakes:
    fakes = Fakes(settings={"launches": {"secret": "s" * 32, "build_only": True}})
    fakes.know(SPEC, built=True)
    command(fakes, "rate 2 per hour")
    return fakes


def command(fakes: Fakes, text: str) -> None:
    admin.run(text.split(), fakes.world().limits, say=lambda _: None, who="operator")


def client(fakes: Fakes) -> FlaskClient:
    """A client of another instance."""
    return make_application(fakes.world()).test_client(use_cookies=False)


def build(fakes: Fakes, *, address: str = CLIENT, query: str = "", method: str = "GET", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): it for name, it in headers.items()}
    named = {"Accept": "text/event-stream", "X-Forwarded-For": address} | named
    return client(fakes).open(f"/build/gh/{SPEC}{query}", method=method, headers=named)


def post(fakes: Fakes, what: str = "launches", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): it for name, it in headers.items()} | {"X-Forwarded-For": CLIENT}
    return client(fakes).post(f"/api/{what}", json={"provider": "gh", "spec": SPEC}, headers=named)


def end(fakes: Fakes, answer: TestResponse) -> dict[str, Any]:
    """The last event of a stream whose server starts at once."""
    for event in (event for chunk in answer.iter_encoded() for event in events([chunk.decode()])):
        for user, _ in fakes.hub.started:
            fakes.hub.make_ready(user)
        if event["phase"] in ("ready", "failed"):
            answer.close()
            return event
    raise AssertionError("no end")


def token(fakes: Fakes) -> str:
    page = Page(provider="gh", raw_spec=SPEC, origin="localhost")
    keys = build_tokens.token_keys(fakes.world().config.launches)
    return build_tokens.mint(page, keys, now=fakes.clock.now(), expires_s=300)


def told(answer: TestResponse) -> tuple[str | None, ...]:
    return tuple(answer.headers.get(name) for name in (LIMIT, REMAINING, RESET))


def test_every_answer_that_counts_says_what_remains(fakes: Fakes) -> None:
    reset = str(int(fakes.clock.now()) + 3600)
    assert told(build(fakes)) == ("2", "1", reset)
    fakes.clock.time += 60
    assert told(post(fakes)) == ("2", "0", reset)


def test_one_too_many_is_told_when_to_come_back_and_then_passes(fakes: Fakes) -> None:
    for _ in range(2):
        build(fakes)
    fakes.clock.time += 1234.5
    refused = build(fakes)
    event = end(fakes, refused)
    assert (refused.status_code, event["status_code"]) == (200, 429)
    assert event["message"] == "Rate limit exceeded. Try again in 2366 seconds.\n"
    assert told(refused)[:2] == ("2", "0")
    assert refused.headers["Retry-After"] == "2366"
    fakes.clock.time += 2366
    assert end(fakes, build(fakes))["phase"] == "ready"


def test_a_stream_that_is_left_open_after_it_was_refused_does_not_come_back(fakes: Fakes) -> None:
    for _ in range(2):
        build(fakes)
    assert build(fakes, Last_Event_ID=end(fakes, build(fakes))["id"]).status_code == 204


def test_the_json_api_answers_429(fakes: Fakes) -> None:
    for what in ("launches", "builds"):
        assert post(fakes, what).status_code in (200, 201)
    for what in ("launches", "builds"):
        refused = post(fakes, what)
        assert (refused.status_code, refused.mimetype) == (429, "application/problem+json")
        assert refused.headers["Retry-After"] == "3600"
        assert (refused.get_json()["error"], told(refused)[1]) == ("RateExceeded", "0")


def test_a_failure_after_it_was_counted_says_so_too(fakes: Fakes) -> None:
    answer = client(fakes).post(
        "/api/launches", json={"provider": "gh", "spec": "no/such/repo"}, headers={"X-Forwarded-For": CLIENT}
    )
    assert (answer.status_code, told(answer)[1]) == (404, "1")


def test_who_comes_from_a_page_is_not_counted(fakes: Fakes) -> None:
    for _ in range(4):
        answer = build(fakes, query=f"?build_token={token(fakes)}")
        assert told(answer) == (None, None, None)
        assert end(fakes, answer)["phase"] == "ready"


def test_a_wrong_token_is_refused_and_an_expired_one_does_not_count_less(fakes: Fakes) -> None:
    good = token(fakes)
    fakes.clock.time += 301
    for wrong in ("x", good):
        assert end(fakes, build(fakes, query=f"?build_token={wrong}"))["status_code"] == 403
    assert told(build(fakes, query="?build_token="))[1] == "1"


def test_who_comes_back_is_not_counted(fakes: Fakes) -> None:
    begun = build(fakes, Cookie=f"binderless-browser={'b' * 32}")
    id_ = end(fakes, begun)["id"].rpartition(".")[0]
    for _ in range(3):
        assert told(build(fakes, Cookie=f"binderless-browser={'b' * 32}")) == (None, None, None)
        assert told(build(fakes, Last_Event_ID=f"{id_}.1")) == (None, None, None)
    assert told(build(fakes))[1] == "0"


def test_the_launch_of_another_repository_is_no_way_back(fakes: Fakes) -> None:
    fakes.know("owner/other/main", built=True)
    id_ = end(fakes, build(fakes))["id"].rpartition(".")[0]
    headers = {"Accept": "text/event-stream", "X-Forwarded-For": CLIENT, "Last-Event-ID": f"{id_}.1"}
    assert told(client(fakes).get("/build/gh/owner/other/main", headers=headers))[1] == "0"


def test_a_repeated_request_of_the_json_api_counts_once(fakes: Fakes) -> None:
    assert told(post(fakes, Idempotency_Key=KEY))[1] == "1"
    for _ in range(3):
        assert told(post(fakes, Idempotency_Key=KEY)) == (None, None, None)
    # A build with it is another request.
    assert told(post(fakes, "builds", Idempotency_Key=KEY))[1] == "0"


def test_asking_after_something_and_asking_wrongly_are_not_counted(fakes: Fakes) -> None:
    created = post(fakes)
    where = client(fakes)
    for path in (created.headers["Location"], created.get_json()["events"], "/versions", "/health", f"/v2/gh/{SPEC}"):
        assert told(where.get(path, headers={"X-Forwarded-For": CLIENT})) == (None, None, None)
    assert told(build(fakes, method="HEAD")) == told(build(fakes, method="POST")) == (None, None, None)
    assert told(build(fakes, Accept="text/html")) == (None, None, None)
    assert told(build(fakes))[1] == "0"


@pytest.mark.parametrize(
    "others",
    [
        lambda number: [f"203.0.113.{number}, {CLIENT}"],
        lambda number: [f"203.0.113.{number}", CLIENT],
        lambda number: [f"{CLIENT}:{50000 + number}"],
        lambda number: [f"::ffff:{CLIENT}", ""][: 1 + number % 2],
        lambda number: [f"2001:db8::{number:x}"],
        lambda number: [f"not-an-address-{number}"],
    ],
    ids=["before ours", "a header of its own", "port", "mapped", "one network of IPv6", "rubbish"],
)
def test_no_header_of_ones_own_passes_the_limit(fakes: Fakes, others: Callable[[int], list[str]]) -> None:
    codes = []
    for number in range(4):
        headers = Headers([("Accept", "text/event-stream"), *(("X-Forwarded-For", it) for it in others(number))])
        headers.extend({"X-Real-Ip": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"})
        answer = client(fakes).get(f"/build/gh/{SPEC}", headers=headers)
        codes.append(end(fakes, answer).get("status_code"))
    assert codes == [None, None, 429, 429]


def test_another_address_is_counted_by_itself(fakes: Fakes) -> None:
    for _ in range(3):
        build(fakes)
    assert told(build(fakes, address="198.51.100.8"))[1] == "1"


def test_without_a_limit_nothing_is_counted(fakes: Fakes) -> None:
    command(fakes, "rate off")
    before = fakes.store.everything()
    assert told(build(fakes)) == (None, None, None)
    assert {kind for kind, _ in fakes.store.everything().keys() - before.keys()} & {"rate"} == set()


def test_while_the_store_cannot_count_nobody_is_refused(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    get = fakes.store.get

    def out(kind: str, key: str) -> Any:
        if kind == "rate":
            raise UpstreamTimeout("The store", "did not answer.")
        return get(kind, key)

    monkeypatch.setattr(fakes.store, "get", out)
    for _ in range(4):
        answer = build(fakes)
        assert told(answer) == (None, None, None)
        assert end(fakes, answer)["phase"] == "ready"


def test_a_hub_that_is_out_counts_against_nobody_who_comes_back(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = f"binderless-browser={'b' * 32}"
    end(fakes, build(fakes, Cookie=cookie))

    def out(name: str) -> None:
        raise UpstreamTimeout("JupyterHub", "did not answer.")

    monkeypatch.setattr(fakes.hub, "user", out)
    answer = build(fakes, Cookie=cookie)
    assert told(answer) == (None, None, None)
    assert end(fakes, answer)["phase"] == Phase.FAILED
