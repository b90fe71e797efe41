"""The operator's limits at work: shared by all instances, changed while they run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from functions import admin
from functions.application import make_application
from functions.core.errors import BadRequest, UpstreamError
from functions.state.limits import LIFE_S
from tests.fakes.world import Fakes
from tests.functions.following import SPEC, asked, follow, launch, until

CLIENT = "198.51.100.7"


@pytest.fixture
def fakes() -> Fakes:
    """A hub that has no queue: who finds no room is refused."""
    fakes = Fakes(settings={"launches": {"secret": "s" * 32, "queue_length": 0}})
    fakes.know(SPEC, built=True)
    return fakes


def command(fakes: Fakes, text: str) -> dict[str, object]:
    said: list[str] = []
    admin.run(text.split(), fakes.world().limits, say=said.append, who="operator")
    answer: dict[str, object] = json.loads(said[0])
    return answer


def refusal(fakes: Fakes) -> tuple[int, str]:
    [told] = launch(fakes.world())
    assert told["phase"] == "failed"
    return told["status_code"], told["message"].strip()


def test_a_banned_repository_is_refused_before_its_host_is_asked(fakes: Fakes) -> None:
    command(fakes, "ban gh/owner/*")
    assert refusal(fakes)[0] == 403
    assert fakes.provider.asked == []
    command(fakes, "unban gh/owner/*")
    assert launch(fakes.world())[-1]["phase"] == "ready"


def test_of_a_closed_hub_no_host_is_asked(fakes: Fakes) -> None:
    fakes.provider.fail(SPEC, UpstreamError("GitHub", "is out."))
    command(fakes, "close Until noon.")
    assert refusal(fakes) == (429, "Until noon.")
    assert fakes.provider.asked == []


def test_a_change_reaches_a_running_instance_within_seconds(fakes: Fakes) -> None:
    world = fakes.world()
    assert launch(world)[-1]["phase"] == "ready"
    command(fakes, "close Until noon.")
    fakes.clock.sleep(LIFE_S)
    assert launch(world)[-1]["message"] == "Until noon.\n"


def test_a_full_hub_takes_nobody_more_and_keeps_who_is_there(fakes: Fakes) -> None:
    command(fakes, "quota 1")
    mine = asked(key="mine")
    assert launch(fakes.world(), mine)[-1]["phase"] == "ready"
    assert refusal(fakes) == (429, "Too many users on this BinderHub! Try again soon.")
    assert launch(fakes.world(), mine)[-1]["phase"] == "ready"
    assert len(fakes.hub.started) == 1


def test_a_repository_has_a_quota_of_its_own(fakes: Fakes) -> None:
    fakes.know("owner/other/main", built=True)
    command(fakes, "repo-quota 1")
    launch(fakes.world())
    assert refusal(fakes)[0] == 429
    assert launch(fakes.world(), asked("owner/other/main"))[-1]["phase"] == "ready"


def test_launches_on_their_way_take_room(fakes: Fakes) -> None:
    fakes.know("owner/new/main")
    command(fakes, "quota 1")
    until(follow(fakes.world(), asked("owner/new/main")), "waiting")
    assert refusal(fakes)[0] == 429


def test_an_abandoned_launch_frees_its_place(fakes: Fakes) -> None:
    fakes.know("owner/new/main")
    command(fakes, "quota 1")
    until(follow(fakes.world(), asked("owner/new/main")), "waiting")
    fakes.clock.sleep(61)
    assert launch(fakes.world())[-1]["phase"] == "ready"


def test_a_ban_is_not_passed_by_another_spelling(fakes: Fakes) -> None:
    command(fakes, "ban gh/owner/*")
    [told] = launch(fakes.world(), asked("o%77ner/plots/main"))
    assert told["status_code"] == 403


def test_an_instance_counts_what_it_has_begun_since_it_looked(fakes: Fakes) -> None:
    command(fakes, "quota 2")
    world = fakes.world()
    ends = [launch(world)[-1]["phase"] for _ in range(4)]
    assert ends == ["ready", "ready", "failed", "failed"]


def test_without_quotas_nothing_is_counted(fakes: Fakes) -> None:
    launch(fakes.world())
    assert ("launch", "running", "yes") not in fakes.store.queries


def test_a_store_that_is_out_leaves_the_limits_as_they_were(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    command(fakes, "ban gh/owner/*")
    limits = fakes.world().limits
    assert limits.now().banned == ["gh/owner/*"]

    def out(kind: str, key: str) -> None:
        raise UpstreamError("The store", "is out.")

    monkeypatch.setattr(fakes.store, "get", out)
    fakes.clock.sleep(LIFE_S)
    assert limits.now().banned == ["gh/owner/*"]


def test_two_operators_at_once_lose_nothing(fakes: Fakes) -> None:
    fakes.store.meanwhile = []
    for text in ("ban gh/a/*", "quota 7", "ban gh/b/*"):
        command(fakes, text)
    found = command(fakes, "show")
    assert (found["banned"], found["total_quota"]) == (["gh/a/*", "gh/b/*"], 7)


def test_a_closed_network_is_told_so_everywhere_but_where_hubs_are_watched(fakes: Fakes) -> None:
    command(fakes, "ban-network 198.51.100.0/24 the crawler farm")
    client = make_application(fakes.world()).test_client()
    headers = {"X-Forwarded-For": CLIENT}
    assert client.get("/", headers=headers).status_code == 403
    told = client.get(f"/build/gh/{SPEC}", headers={**headers, "Accept": "text/event-stream"})
    assert "Requests from the crawler farm are not allowed" in told.get_data(as_text=True)
    assert client.post("/api/launches", json={"provider": "gh", "spec": SPEC}, headers=headers).status_code == 403
    for path in ("/versions", "/health", "/metrics"):
        assert client.get(path, headers=headers).status_code == 200
    assert client.get("/", headers={"X-Forwarded-For": f"{CLIENT}, 203.0.113.9"}).status_code == 200


def test_a_federation_sees_the_quota(fakes: Fakes) -> None:
    def pods() -> dict[str, object]:
        report = make_application(fakes.world()).test_client().get("/health").get_json()
        return next(check for check in report["checks"] if check["service"] == "Pod quota")

    command(fakes, "quota 1")
    assert (pods()["quota"], pods()["ok"]) == (1, True)
    launch(fakes.world())
    assert (pods()["quota"], pods()["ok"]) == (1, False)
    command(fakes, "close")
    assert pods()["quota"] == 0


def test_a_wrong_command_is_refused(fakes: Fakes) -> None:
    with pytest.raises(BadRequest):
        command(fakes, "ban everything")


def test_capitals_of_a_repository_have_no_quota_of_their_own(fakes: Fakes) -> None:
    command(fakes, "repo-quota 1")
    other = SPEC.replace("owner", "OWNER")
    repo = fakes.know(SPEC, built=True)
    fakes.provider.answer(replace(repo, spec=other, repo_url=repo.repo_url.replace("owner", "OWNER")))
    until(follow(fakes.world(), asked(SPEC)), "ready")
    fakes.clock.sleep(LIFE_S + 1)
    assert launch(fakes.world(), asked(other))[-1]["status_code"] == 429


def test_what_is_shown_is_what_the_store_has(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    def out(kind: str, key: str) -> None:
        raise UpstreamError("The store", "does not work.")

    world = fakes.world()
    monkeypatch.setattr(fakes.store, "get", out)
    with pytest.raises(UpstreamError):
        admin.run(["show"], world.limits, say=lambda _: None)
