"""The JSON API: builds and launches as resources, over fakes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.application import make_application
from functions.core.errors import UpstreamError
from functions.core.launch import lease
from functions.core.limit_commands import changed
from functions.core.ports import ImageFound, ResolvedRepo
from tests.fakes.world import Fakes, events

SPEC = "owner/plots/main"
WISH = {"provider": "gh", "spec": SPEC}
KEY = "0b9c3f52-6a5e-4f0e-9c53-0a4e2a2f8d11"


@pytest.fixture
def fakes() -> Fakes:
    return Fakes(settings={"launches": {"secret": "s" * 32, "build_only": True}})


@pytest.fixture
def client(fakes: Fakes) -> FlaskClient:
    return make_application(fakes.world()).test_client()


def ask(client: FlaskClient, what: str, wish: Any = WISH, **headers: str) -> TestResponse:
    return client.post(f"/api/{what}", json=wish, headers={name.replace("_", "-"): it for name, it in headers.items()})


def digest_of(fakes: Fakes, repo: ResolvedRepo) -> str:
    found = fakes.registry.find(fakes.image(repo))
    assert isinstance(found, ImageFound)
    return found.digest


def test_a_launch_is_asked_for_and_then_asked_after(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC, built=True)
    created = ask(client, "launches")
    assert (created.status_code, created.get_json()["phase"]) == (201, "launching")
    assert created.get_json()["token"] is None
    fakes.hub.make_ready(fakes.hub.started[0][0])
    found = client.get(created.headers["Location"]).get_json()
    assert (found["phase"], found["token"], found["failure"]) == ("ready", "server-token", None)
    assert found["url"].startswith("https://hub.example.org/user/")


def test_asking_after_a_launch_is_what_keeps_it_wanted(fakes: Fakes, client: FlaskClient) -> None:
    repo = fakes.know(SPEC)
    where = ask(client, "launches").headers["Location"]
    fakes.clock.sleep(50)
    build = client.get(where).get_json()["build"]
    fakes.clock.sleep(50)
    fakes.finish_build(repo)
    client.get(build)
    assert client.get(where).get_json()["phase"] == "launching"


def test_a_launch_that_nobody_asks_after_gets_no_server(fakes: Fakes, client: FlaskClient) -> None:
    repo = fakes.know(SPEC)
    launch = ask(client, "launches").get_json()
    fakes.clock.sleep(200)
    fakes.finish_build(repo)
    client.get(launch["build"])
    assert fakes.hub.started == []


def test_a_request_that_is_repeated_with_its_key_is_about_the_same_launch(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC, built=True)
    first, again = (ask(client, "launches", Idempotency_Key=KEY) for _ in range(2))
    assert first.get_json()["id"] == again.get_json()["id"]
    assert len(fakes.hub.created) == 1


def test_a_key_is_the_same_with_quotes_and_without(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC, built=True)
    plain, quoted = (ask(client, "launches", Idempotency_Key=key) for key in (KEY, f'"{KEY}"'))
    assert plain.get_json()["id"] == quoted.get_json()["id"]


def test_the_key_of_another_sender_opens_nothing(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC, built=True)
    mine = ask(client, "launches", Idempotency_Key=KEY, X_Forwarded_For="198.51.100.1")
    theirs = ask(client, "launches", Idempotency_Key=KEY, X_Forwarded_For="198.51.100.2")
    assert mine.get_json()["id"] != theirs.get_json()["id"]


@pytest.mark.parametrize(
    "key",
    ["1", "a" * 19, "a" * 201, "spaces are not for keys", "", '"one-quote-is-not-enough', "a" * 10 + '"' + "b" * 10],
)
def test_a_key_that_another_could_have_is_refused(fakes: Fakes, client: FlaskClient, key: str) -> None:
    fakes.know(SPEC, built=True)
    assert ask(client, "launches", Idempotency_Key=key).status_code == 400


def test_a_launch_is_stopped_with_its_server(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC, built=True)
    where = ask(client, "launches").headers["Location"]
    fakes.hub.make_ready(fakes.hub.started[0][0])
    client.get(where)
    for _ in range(2):
        assert client.delete(where).get_json()["phase"] == "stopped"
    assert fakes.hub.users().users == []


def test_a_launch_that_is_stopped_before_its_image_is_there_gets_no_server(fakes: Fakes, client: FlaskClient) -> None:
    repo = fakes.know(SPEC)
    where = ask(client, "launches").headers["Location"]
    client.delete(where)
    fakes.finish_build(repo)
    assert client.get(where).get_json()["phase"] == "stopped"
    assert fakes.hub.started == []


def test_a_launch_is_not_stopped_between_two_halves_of_a_step(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC)
    launch = ask(client, "launches").get_json()
    now = fakes.clock.now()
    fakes.world().launches.change(launch["id"], lambda it: lease(it, "another instance", now=now))
    answer = client.delete(f"/api/launches/{launch['id']}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_what_was_told_is_read_page_by_page(fakes: Fakes, client: FlaskClient) -> None:
    repo = fakes.know(SPEC)
    launch = ask(client, "launches").get_json()
    fakes.backend.write(fakes.backend.submitted[0].name, *[f"line {number}" for number in range(25)])
    told, where = [], f"{launch['events']}?limit=10"
    while where:
        page = client.get(where).get_json()
        told += page["events"]
        where = page["next"]
    assert [it["number"] for it in told] == list(range(1, 27))
    assert told[0]["event"]["message"] == "Waiting for build to start...\n"
    assert told[-1]["event"] == {"phase": "unknown", "message": "line 24\n"}
    assert repo.sha in launch["image"]


def test_the_stream_of_a_launch_goes_on_after_what_was_told(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC, built=True)
    launch = ask(client, "launches").get_json()
    fakes.hub.make_ready(fakes.hub.started[0][0])
    headers = {"Accept": "text/event-stream", "Last-Event-ID": f"{launch['id']}.1"}
    answer = client.get(launch["events"], headers=headers)
    told = events(answer.get_data(as_text=True).split("\n\n"))
    assert [event["phase"] for event in told] == ["launching", "ready"]
    over = client.get(launch["events"], headers={**headers, "Last-Event-ID": told[-1]["id"]})
    assert over.status_code == 204


def test_an_image_is_asked_for_and_its_log_is_kept(fakes: Fakes, client: FlaskClient) -> None:
    repo = fakes.know(SPEC)
    created = ask(client, "builds")
    assert (created.status_code, created.get_json()["status"]) == (202, "QUEUED")
    line = '{"phase": "building", "message": "Step 1\\n"}'
    fakes.finish_build(repo, line, "and then a line of the repository")
    found = client.get(created.headers["Location"]).get_json()
    assert (found["status"], found["digest"]) == ("SUCCESS", digest_of(fakes, repo))
    log = client.get(found["log"])
    assert (log.get_data(as_text=True), log.mimetype) == ("Step 1\nand then a line of the repository\n", "text/plain")
    assert fakes.hub.created == []


def test_an_image_that_is_there_needs_no_build(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC, built=True)
    created = ask(client, "builds")
    assert (created.status_code, created.get_json()["attempt"]) == (200, 0)
    assert client.get(created.headers["Location"]).get_json()["status"] == "SUCCESS"
    assert fakes.backend.submitted == []


def test_an_image_that_was_there_and_was_lost_is_built(fakes: Fakes, client: FlaskClient) -> None:
    repo = fakes.know(SPEC, built=True)
    ask(client, "builds")
    fakes.registry.lose(fakes.image(repo))
    created = ask(client, "builds")
    assert (created.status_code, created.get_json()["attempt"]) == (202, 1)
    assert [request.image for request in fakes.backend.submitted] == [fakes.image(repo)]


def test_images_alone_are_for_the_operator_to_permit(fakes: Fakes) -> None:
    fakes.settings["launches"] = {"secret": "s" * 32}
    fakes.know(SPEC)
    answer = ask(make_application(fakes.world()).test_client(), "builds")
    assert (answer.status_code, fakes.backend.submitted) == (403, [])


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"provider": "gh"}, "spec"),
        ({"provider": "gh", "spec": ""}, "length"),
        ({"provider": "gh", "spec": "a b"}, "regex"),
        ({"provider": "gh", "spec": 7}, "str"),
        ({"provider": "gh", "spec": SPEC, "user": "admin"}, "user"),
        ({"provider": "nowhere", "spec": SPEC}, "nowhere"),
        ([WISH], "object"),
        ("gh", "object"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_with_what_is_wrong(client: FlaskClient, wish: Any, said: str) -> None:
    answer = ask(client, "launches", wish)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert said in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"[" * 10_000, "application/json"),
        (b'"' + b"\xff" + b'"', "application/json"),
        (b"provider=gh&spec=owner/plots/main", "application/x-www-form-urlencoded"),
        (b'{"provider": "gh", "spec": "owner/plots/main"}', "text/plain"),
        (b'{"provider": "gh", "spec": "' + b"a" * 20_000 + b'"}', "application/json"),
    ],
)
def test_a_body_that_is_no_wish_begins_nothing(fakes: Fakes, client: FlaskClient, body: bytes, kind: str) -> None:
    fakes.know(SPEC, built=True)
    answer = client.post("/api/launches", data=body, content_type=kind)
    assert (answer.status_code, answer.get_json()["status"]) == (400, 400)
    assert fakes.hub.created == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/launches/unknown", 404),
        ("/api/launches/..%2f..", 404),
        ("/api/launches/unknown/events", 404),
        ("/api/builds/unknown", 404),
        ("/api/builds/owner-2dplots-0000:main", 404),
        ("/api/builds/../metrics", 404),
        ("/api/builds", 405),
        ("/api/launches", 405),
        ("/api/builds/owner-2dplots-0000:main/log", 404),
    ],
)
def test_what_is_not_there_is_a_problem_that_programs_can_read(client: FlaskClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json()["status"] == status


def test_a_service_that_is_out_is_said_with_when_to_try_again(fakes: Fakes, client: FlaskClient) -> None:
    fakes.know(SPEC)
    fakes.registry.error = UpstreamError("The registry", "does not answer.")
    answer = ask(client, "launches")
    assert (answer.status_code, answer.get_json()["error"]) == (502, "UpstreamError")


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=1001", "limit=1e3", f"after={10**30}"])
def test_a_page_that_is_none_is_refused(fakes: Fakes, client: FlaskClient, query: str) -> None:
    fakes.know(SPEC)
    launch = ask(client, "launches").get_json()
    assert client.get(f"{launch['events']}?{query}").status_code == 400


def test_everything_is_below_the_base_path(fakes: Fakes) -> None:
    fakes.settings["web"] = {"base_path": "/hubs/one/"}
    fakes.know(SPEC)
    client = make_application(fakes.world()).test_client()
    created = client.post("/hubs/one/api/launches", json=WISH)
    assert created.headers["Location"].startswith("/hubs/one/api/launches/")
    assert client.get(created.headers["Location"]).status_code == 200
    assert client.get("/api/launches/x").status_code == 404


def test_a_ban_of_builds_is_not_passed_by_another_spelling(fakes: Fakes, client: FlaskClient) -> None:
    other = "Owner/plots.git/main"
    fakes.provider.answer(replace(fakes.know("owner/plots/main"), spec=other))
    fakes.world().limits.change(lambda it: changed(it, ["ban", "gh/owner/plots/*"]))
    answer = ask(client, "builds", {"provider": "gh", "spec": other})
    assert (answer.status_code, fakes.backend.submitted) == (403, [])


def test_an_image_that_was_there_and_is_deleted_later_can_be_launched_again(fakes: Fakes, client: FlaskClient) -> None:
    repo = fakes.know("owner/plots/main", built=True)
    assert ask(client, "builds", {"provider": "gh", "spec": "owner/plots/main"}).get_json()["attempt"] == 0
    fakes.registry.lose(fakes.image(repo))
    fakes.clock.sleep(30 * 86400)
    launch = ask(client, "launches", {"provider": "gh", "spec": "owner/plots/main"}).get_json()
    assert (launch["failure"], len(fakes.backend.submitted)) == (None, 1)
