"""One round of the cull: what it mends, removes and leaves alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.core.errors import BadRequest, BadSignature, UpstreamError
from functions.core.launch import Phase
from functions.core.ports import HubServer, HubUser, UserPage
from functions.core.user_pods import UserPod
from functions.cull import cull
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.reporting.exposition import exposition
from tests.fakes.hub import NOON, FakeHub
from tests.fakes.pods import FakePods
from tests.fakes.store import Died
from tests.fakes.world import FakeClock, Fakes
from tests.functions.requests import request
from tests.functions.test_on_build_complete import begin

SPEC = "owner/plots/main"


def run(fakes: Fakes, query: str = "") -> dict[str, Any]:
    answer = cull(request(f"/{query}", authorization="Bearer scheduler"), fakes.world())
    report: dict[str, Any] = json.loads(answer.get_data())
    return report


def launched(fakes: Fakes, *, collected: bool) -> None:
    fakes.know(SPEC, built=True)
    asked = Asked(provider="gh", spec=SPEC, host="", client_ip="", resume_key="k", resume=None)
    for chunk in launch_stream(asked, fakes.world()):
        if not collected and '"ready"' in chunk:
            break


def running(name: str, *, idle_s: float, now: float, repo: str = "") -> HubUser:
    then = datetime.fromtimestamp(now - idle_s, UTC)
    server = HubServer(ready=True, pending=None, url="/", last_activity=then, started_at=then, repo=repo)
    return HubUser(name=name, created_at=then, last_activity=then, server=server)


def crowd(fakes: Fakes, count: int, *, idle: int = 0) -> None:
    """So many users, of whom the first are idle."""
    for number in range(count):
        idle_s = 700 if number < idle else 10
        fakes.hub.add_user(running(f"u{number:05}", idle_s=idle_s, now=fakes.clock.time))


class SlowHub(FakeHub):
    """Takes a minute for each page of users."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.page, self._clock = 2, clock

    def users(self, offset: int = 0) -> UserPage:
        self._clock.time += 60
        return super().users(offset)


class BrokenHub(FakeHub):
    """Has only so many *answers* left to who asks for pages of users."""

    answers = 1

    def users(self, offset: int = 0) -> UserPage:
        self.page, self.answers = 10, self.answers - 1
        if self.answers < 0:
            raise UpstreamError("JupyterHub", "answered 500.")
        return super().users(offset)


OWNERS = ("u00000", "gone")
LONG_AGO = NOON - timedelta(hours=1)


def pod(user: str) -> UserPod:
    return UserPod(name=f"jupyter-{user}", uid="1", user=user, created_at=LONG_AGO)


def nothing() -> object:
    return None


def refuse() -> None:
    raise UpstreamError("The store", "is busy.")


class StubbornHub(FakeHub):
    """Has one server that does not stop."""

    def stop_server(self, user: str) -> None:
        if user == "u00001":
            raise UpstreamError("JupyterHub", "is stopping a server.")
        super().stop_server(user)


def test_idle_servers_go_and_busy_ones_stay() -> None:
    fakes = Fakes()
    crowd(fakes, 2, idle=1)
    report = run(fakes)
    assert report["removed"] == {"server": {"is idle": 1}}
    assert report["kept"] == {"server": {"is in use": 1}}
    assert report["named"] == [{"verb": "removed", "what": "server", "name": "u00000", "reason": "is idle"}]
    assert fakes.hub.deleted == ["u00000"]


def test_a_removal_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    fakes = Fakes()
    crowd(fakes, 1, idle=1)
    with caplog.at_level("INFO"):
        run(fakes)
    lines = [record.__dict__["fields"] for record in caplog.records if record.message == "removed"]
    assert lines == [{"what": "server", "name": "u00000", "reason": "is idle"}]


def test_a_round_tells_the_log_of_its_trouble(caplog: pytest.LogCaptureFixture) -> None:
    fakes = Fakes()
    fakes.hub.errors = [UpstreamError("JupyterHub", "answered 503.")]
    with caplog.at_level("INFO"):
        run(fakes)
    [fields] = [record.__dict__["fields"] for record in caplog.records if record.message == "culled"]
    assert fields["trouble"] == ["JupyterHub answered 503."]


def test_users_on_all_pages_are_judged_although_others_go_meanwhile() -> None:
    fakes = Fakes()
    fakes.hub.page = 10
    crowd(fakes, 95, idle=47)
    assert run(fakes)["removed"] == {"server": {"is idle": 47}}
    assert len(fakes.hub.deleted) == 47


def test_two_rounds_at_once_do_no_harm() -> None:
    fakes = Fakes()
    fakes.hub.page = 10
    crowd(fakes, 95, idle=47)
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: run(fakes), range(2)))
    run(fakes)
    assert len(set(fakes.hub.deleted)) == len(fakes.hub.deleted) == 47
    assert [report["trouble"] for report in reports] == [[], []]


@pytest.mark.parametrize("calls", range(0, 60, 3))
def test_a_round_that_dies_leaves_nothing_that_the_next_does_not_mend(calls: int) -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    launched(fakes, collected=False)
    crowd(fakes, 3, idle=2)
    fakes.clock.time += 301
    fakes.store.calls_left = calls
    with suppress(Died):
        run(fakes)
    fakes.store.calls_left = None
    fakes.clock.time += 30
    run(fakes)
    assert not fakes.world().launches.where("uncollected", "yes")
    assert not fakes.world().builds.where("open", "yes")
    # Two were idle before; the third is, after 331 s more, still in use.
    assert {user.name for user in fakes.hub.users().users} == {"u00002"}


def test_a_repository_may_have_limits_of_its_own() -> None:
    fakes = Fakes(settings={"cull": {"limits": {"gh/patient/*": {"idle_s": 3600}}}})
    fakes.hub.add_user(running("hasty", idle_s=700, now=fakes.clock.time, repo="gh/hasty/b/c"))
    fakes.hub.add_user(running("patient", idle_s=700, now=fakes.clock.time, repo="gh/patient/b/c"))
    run(fakes)
    assert fakes.hub.deleted == ["hasty"]


def test_a_start_that_never_ends_is_interrupted() -> None:
    fakes = Fakes()
    idle = running("u", idle_s=9999, now=fakes.clock.time)
    assert idle.server is not None
    fakes.hub.add_user(replace(idle, server=replace(idle.server, ready=False, pending="spawn")))
    assert run(fakes)["removed"] == {"server": {"is stuck starting": 1}}


def test_a_server_nobody_came_for_is_stopped() -> None:
    fakes = Fakes()
    launched(fakes, collected=False)
    fakes.clock.time += 301
    assert run(fakes)["removed"]["server"] == {"was never collected": 1}
    [launch] = fakes.world().launches.where("open", "no")
    assert launch.phase is Phase.STOPPED


def test_somebody_who_comes_at_the_last_moment_keeps_the_server() -> None:
    fakes = Fakes()
    launched(fakes, collected=False)
    fakes.clock.time += 301
    [launch] = fakes.world().launches.where("uncollected", "yes")
    come = replace(launch, collected_at=fakes.clock.time)
    fakes.store.meanwhile = [*[nothing] * 3, lambda: fakes.world().launches.change(launch.id, lambda _: come)]
    report = run(fakes)
    assert report["kept"]["server"]["was collected just now"] == 1
    assert fakes.hub.deleted == []


def test_a_server_that_was_collected_is_kept() -> None:
    fakes = Fakes()
    launched(fakes, collected=True)
    fakes.hub.set_server(fakes.hub.started[0][0], running("", idle_s=0, now=fakes.clock.time + 301).server)
    fakes.clock.time += 301
    run(fakes)
    assert fakes.hub.deleted == []


def test_a_server_that_is_gone_gives_its_place_back_at_once() -> None:
    """It ended by itself, or was stopped at the Hub; its user is a minute old."""
    fakes = Fakes()
    launched(fakes, collected=True)
    [(user, _)] = fakes.hub.started
    fakes.hub.set_server(user, None)
    assert run(fakes, "?dry_run=true")["removed"]["user"] == {"has lost its server": 1}
    assert run(fakes)["removed"]["user"] == {"has lost its server": 1}
    [launch] = fakes.world().launches.where("open", "no")
    assert (launch.phase, fakes.hub.deleted) == (Phase.STOPPED, [user])


def test_a_server_that_came_after_the_hubs_page_is_not_gone() -> None:
    fakes = Fakes()
    launched(fakes, collected=True)
    [(user, _)] = fakes.hub.started
    now = fakes.hub.user(user)
    assert now is not None
    page = UserPage(users=[replace(now, server=None)], next_offset=None)
    fakes.hub.users = lambda offset=0: page  # type: ignore[method-assign]
    run(fakes)
    assert fakes.hub.deleted == []


def test_records_of_what_is_over_are_forgotten_with_the_way_back_to_them() -> None:
    fakes = Fakes()
    launched(fakes, collected=True)
    fakes.clock.time += 3601
    run(fakes)
    fakes.clock.time += 3601
    run(fakes)
    assert not fakes.world().launches.where("open", "no")
    assert fakes.store.get("resume", "k") is None


def test_running_servers_cost_no_call_of_the_hub_beyond_their_page() -> None:
    fakes = Fakes()
    launched(fakes, collected=True)
    fakes.clock.time += 3601
    fakes.hub.set_server(fakes.hub.started[0][0], running("", idle_s=0, now=fakes.clock.time).server)
    fakes.hub.user = lambda name: pytest.fail("asked again")  # type: ignore[method-assign]
    assert run(fakes)["kept"]["record"] == {"has a server": 1}


def test_a_hub_that_does_not_answer_makes_it_delete_nothing() -> None:
    fakes = Fakes()
    crowd(fakes, 1, idle=1)
    fakes.hub.errors = [UpstreamError("JupyterHub", "answered 503.")]
    report = run(fakes)
    assert report["trouble"] == ["JupyterHub answered 503."]
    assert fakes.hub.deleted == []


def test_a_hub_that_fails_in_the_middle_loses_nobody_it_has_not_told_of() -> None:
    fakes = Fakes(hub=BrokenHub())
    crowd(fakes, 30, idle=30)
    report = run(fakes)
    assert report["trouble"] == ["JupyterHub answered 500."]
    assert sorted(fakes.hub.deleted) == [f"u{number:05}" for number in range(10)]


def test_a_page_that_never_comes_does_not_hide_those_before_it() -> None:
    hub = BrokenHub()
    fakes = Fakes(hub=hub)
    crowd(fakes, 15)
    judged = []
    for hub.answers in (1, 0, 1):
        judged.append(run(fakes)["kept"].get("server", {}))
    assert judged == [{"is in use": 10}, {}, {"is in use": 10}]


def test_a_store_that_cannot_tell_of_a_launch_keeps_its_user() -> None:
    fakes = Fakes()
    crowd(fakes, 2, idle=2)
    fakes.store.meanwhile = [*[nothing] * 4, refuse]
    report = run(fakes)
    assert report["trouble"] == ["The store is busy."]
    assert fakes.hub.deleted == ["u00001"]


def test_what_does_not_fit_into_a_round_is_continued_by_the_next() -> None:
    clock = FakeClock()
    fakes = Fakes(hub=SlowHub(clock), clock=clock)
    crowd(fakes, 10)
    first, second, third = (run(fakes) for _ in range(3))
    assert first["left"]["users"] == {"no time or calls of the Hub left": 1}
    assert [report["kept"]["server"]["is in use"] for report in (first, second)] == [6, 4]
    assert "left" not in second or not second["left"]
    assert third["kept"]["server"]["is in use"] == 6


def test_one_user_in_trouble_does_not_keep_the_others() -> None:
    fakes = Fakes(hub=StubbornHub())
    crowd(fakes, 3, idle=3)
    report = run(fakes)
    assert report["removed"]["server"] == {"is idle": 2}
    assert report["trouble"] == ["JupyterHub is stopping a server."]


def test_a_pod_whose_server_the_hub_does_not_know_is_deleted() -> None:
    fakes = Fakes()
    crowd(fakes, 1)
    fakes.pods = FakePods(*map(pod, OWNERS))
    report = run(fakes)
    assert report["removed"] == {"pod": {"belongs to no server of the Hub": 1}}
    assert fakes.pods.deleted == ["jupyter-gone"]


def test_a_hub_that_does_not_answer_keeps_all_pods() -> None:
    fakes = Fakes()
    fakes.pods = FakePods(pod("gone"))
    fakes.hub.errors = [UpstreamError("JupyterHub", "answered 503.")] * 2
    run(fakes)
    assert fakes.pods.deleted == []


def test_a_dry_run_decides_the_same_and_changes_nothing() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    crowd(fakes, 2, idle=1)
    fakes.pods = FakePods(pod("gone"))
    before = fakes.store.everything()
    dry = run(fakes, "?dry_run=true")
    assert (fakes.store.everything(), fakes.hub.deleted, fakes.hub.started, fakes.pods.deleted) == (before, [], [], [])
    wet = run(fakes)
    assert (dry["dry_run"], wet["dry_run"]) == (True, False)
    assert dry["removed"] == wet["removed"] == {"pod": {"belongs to no server of the Hub": 1}, "server": {"is idle": 1}}
    assert dry["mended"]["build"] == wet["mended"]["build"]


def test_a_dry_run_judges_everybody_once() -> None:
    fakes = Fakes()
    fakes.hub.page = 10
    crowd(fakes, 95, idle=47)
    report = run(fakes, "?dry_run=true")
    assert (report["removed"], report["kept"]) == ({"server": {"is idle": 47}}, {"server": {"is in use": 48}})


def test_a_dry_run_that_is_misspelt_is_none() -> None:
    with pytest.raises(BadRequest):
        run(Fakes(), "?dry_run=yes")


def test_what_was_removed_is_counted_for_prometheus() -> None:
    fakes = Fakes()
    crowd(fakes, 2, idle=2)
    run(fakes)
    crowd(fakes, 1, idle=1)
    run(fakes)
    assert b'binderless_removed_total{reason="is idle",what="server"} 3.0' in exposition(fakes.world())


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_only_the_scheduler_may_call(query: str) -> None:
    with pytest.raises(BadSignature):
        cull(request(f"/{query}", authorization="Bearer push"), Fakes().world())
