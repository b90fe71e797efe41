"""What becomes of builds and launches that events have missed, situation by situation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.build import Build
from functions.core.launch import Launch, Phase
from functions.core.mending import (
    Abandon,
    Advance,
    Ask,
    BuildRepair,
    GiveUp,
    LaunchRepair,
    Leave,
    NotAsked,
    Record,
    Submit,
    mend_build,
    mend_launch,
)
from functions.core.next_step import AskHub, StartServer, Step, Wait
from functions.core.ports import BuildReport, BuildStatus, ResolvedRepo

NOW = 1_000_000.0
ONGOING = Build(
    image="i:1",
    repo_url="u",
    ref="1",
    backend="kubernetes",
    created_at=NOW - 60,
    status=BuildStatus.WORKING,
    backend_id="build-1",
)
PENDING = replace(ONGOING, status=BuildStatus.PENDING, backend_id="", lease_until=NOW - 1)
OLD = NOW - 3600 - 301
WORKING = BuildReport(backend_id="build-1", status=BuildStatus.WORKING)
ENDED = BuildReport(backend_id="build-1", status=BuildStatus.SUCCESS)

BUILDS: dict[str, tuple[Build, BuildReport | NotAsked | None, BuildRepair]] = {
    "whoever submits it lives": (replace(PENDING, lease_until=NOW + 1), NotAsked(), Leave("is being submitted")),
    "whoever was to submit it died": (PENDING, NotAsked(), Submit()),
    "nobody could ever submit it": (
        replace(PENDING, created_at=OLD),
        NotAsked(),
        GiveUp("was never taken by the backend"),
    ),
    "it was submitted": (ONGOING, NotAsked(), Ask()),
    "it goes on": (ONGOING, WORKING, Leave("is going on")),
    "it has ended": (ONGOING, ENDED, Record(ENDED, "has ended unheard")),
    "it has ended late": (replace(ONGOING, created_at=OLD), ENDED, Record(ENDED, "has ended unheard")),
    "the backend does not know it": (ONGOING, None, Record(None, "is unknown to the backend")),
    "it does not end": (replace(ONGOING, created_at=OLD), WORKING, GiveUp("is stuck")),
    "its end is known": (replace(ONGOING, status=BuildStatus.FAILURE), NotAsked(), Leave("has ended")),
}


@pytest.mark.parametrize("case", BUILDS.values(), ids=BUILDS.keys())
def test_a_build_of_which(case: tuple[Build, BuildReport | NotAsked | None, BuildRepair]) -> None:
    build, report, repair = case
    assert mend_build(build, report, now=NOW, timeout_s=3600) == repair


REPO = ResolvedRepo(provider="gh", spec="a/b/c", repo_url="u", sha="1", slug="a-b", resolved_spec="a/b/1", ref_url="r")
WAITING = Launch(
    id="1", provider="gh", spec="a/b/c", repo=REPO, image="i:1", created_at=NOW, last_seen_at=NOW, token="t", host="h"
)
LAUNCHING = replace(WAITING, phase=Phase.LAUNCHING, user="u", named_at=NOW)
LEFT = NOW - 3601
WAITS = Leave("waits for its build or its watcher")

LAUNCHES: dict[str, tuple[Launch, Step, LaunchRepair]] = {
    "has a step to take": (LAUNCHING, StartServer(), Advance()),
    "was asked for": (replace(LAUNCHING, asked_at=NOW), AskHub(), Advance()),
    "is in other hands": (
        replace(LAUNCHING, lease_holder="x", lease_until=NOW + 1),
        StartServer(),
        Leave("is in other hands"),
    ),
    "was in the hands of one who died": (
        replace(LAUNCHING, lease_holder="x", lease_until=NOW),
        StartServer(),
        Advance(),
    ),
    "waits": (WAITING, Wait(), WAITS),
    "waits for the Hub": (replace(LAUNCHING, paused_until=NOW + 1), Wait(), Leave("is paused")),
    "nobody comes back to": (replace(WAITING, last_seen_at=LEFT), Wait(), Abandon()),
    "somebody may come back to": (replace(WAITING, last_seen_at=LEFT + 1), Wait(), WAITS),
    "nobody comes back to, with a step to take": (replace(WAITING, last_seen_at=LEFT), StartServer(), Abandon()),
    "has ended": (replace(WAITING, phase=Phase.FAILED), Wait(), Leave("has ended")),
}


@pytest.mark.parametrize("case", LAUNCHES.values(), ids=LAUNCHES.keys())
def test_a_launch_that(case: tuple[Launch, Step, LaunchRepair]) -> None:
    launch, step, repair = case
    assert mend_launch(launch, step, now=NOW, keep_s=3600) == repair
