"""One round of the cull: what it mends, removes and leaves alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.arrival import Asked
from functions.core.errors import BadSignature, UpstreamError
from functions.core.launch import Phase
from functions.core.ports import HubServer, HubUser
from functions.cull import cull
from functions.stream import launch_stream
from tests.fakes.world import Fakes
from tests.functions.requests import request
from tests.functions.test_on_build_complete import begin

SPEC = "owner/plots/main"


def run(fakes: Fakes) -> dict[str, Any]:
    answer = cull(request(authorization="Bearer scheduler"), fakes.world())
    report: dict[str, Any] = json.loads(answer.get_data())
    return report


def launched(fakes: Fakes, *, collected: bool) -> None:
    fakes.know(SPEC, built=True)
    asked = Asked(provider="gh", spec=SPEC, host="", client_ip="", resume_key="k", resume=None)
    for chunk in launch_stream(asked, fakes.world()):
        if not collected and '"ready"' in chunk:
            break


def running(name: str, *, idle_s: float, now: float) -> HubUser:
    then = datetime.fromtimestamp(now - idle_s, UTC)
    server = HubServer(ready=True, pending=None, url="/", last_activity=then, started_at=then)
    return HubUser(name=name, created_at=then, last_activity=then, server=server)


def test_a_build_whose_message_never_came_is_mended() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    report = run(fakes)
    assert report["counts"]["builds mended"] == 1
    assert len(fakes.hub.started) == 1


def test_two_rounds_do_no_more_than_one() -> None:
    fakes = Fakes()
    fakes.finish_build(begin(fakes))
    run(fakes)
    run(fakes)
    assert len(fakes.hub.started) == 1


def test_idle_servers_go_and_busy_ones_stay() -> None:
    fakes = Fakes()
    fakes.hub.add_user(running("idle", idle_s=700, now=fakes.clock.time))
    fakes.hub.add_user(running("busy", idle_s=10, now=fakes.clock.time))
    assert run(fakes)["counts"] == {"removed: server is idle": 1, "kept: is in use": 1}
    assert fakes.hub.deleted == ["idle"]


def test_a_server_nobody_came_for_is_stopped() -> None:
    fakes = Fakes()
    launched(fakes, collected=False)
    fakes.clock.time += 301
    assert run(fakes)["counts"]["removed: nobody came for the server"] == 1
    [launch] = fakes.world().launches.where("open", "no")
    assert launch.phase is Phase.STOPPED


def test_a_server_that_was_collected_is_kept() -> None:
    fakes = Fakes()
    launched(fakes, collected=True)
    fakes.hub.set_server(fakes.hub.started[0][0], running("", idle_s=0, now=fakes.clock.time + 301).server)
    fakes.clock.time += 301
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


def test_a_launch_that_nobody_watches_any_more_ends() -> None:
    fakes = Fakes()
    repo = begin(fakes)
    fakes.finish_build(repo)
    fakes.clock.time += 3601
    assert run(fakes)["counts"]["launches abandoned"] == 1


def test_a_hub_that_does_not_answer_makes_it_delete_nothing() -> None:
    fakes = Fakes()
    fakes.hub.add_user(running("idle", idle_s=700, now=fakes.clock.time))
    fakes.hub.errors = [UpstreamError("JupyterHub", "answered 503.")]
    report = run(fakes)
    assert report["trouble"] == ["JupyterHub answered 503."]
    assert fakes.hub.deleted == []


def test_one_user_in_trouble_does_not_keep_the_others() -> None:
    fakes = Fakes()
    for name in ("first", "second"):
        fakes.hub.add_user(running(name, idle_s=700, now=fakes.clock.time))
    users = list(fakes.hub.users())
    fakes.hub.users = lambda: iter(users)  # type: ignore[method-assign]
    fakes.hub.errors = [UpstreamError("JupyterHub", "is stopping a server.")]
    assert run(fakes)["counts"]["removed: server is idle"] == 1


def test_only_the_scheduler_may_call() -> None:
    with pytest.raises(BadSignature):
        cull(request(authorization="Bearer push"), Fakes().world())
