"""What a round makes of everything that events can miss, whatever the records, the backend and the Hub say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from functions.core.errors import RateLimited, UpstreamError
from functions.core.launch import Phase
from functions.core.ports import BuildStatus, ResolvedRepo
from tests.fakes.world import Fakes
from tests.functions.test_cull import run
from tests.functions.test_on_build_complete import begin


class Situation:
    """A launch that waits for its build, when its watcher has just gone."""

    def __init__(self) -> None:
        self.fakes = Fakes()
        self.repo: ResolvedRepo = begin(self.fakes)
        self.name = self.fakes.backend.submitted[0].name

    def build(self, **changes: Any) -> None:
        self.fakes.world().builds.change(self.fakes.image(self.repo), lambda it: replace(it, **changes))

    def launch(self, **changes: Any) -> None:
        [launch] = self.fakes.world().launches.where("open", "yes")
        self.fakes.world().launches.change(launch.id, lambda it: replace(it, **changes))

    @property
    def now(self) -> float:
        return self.fakes.clock.time

    def outcome(self) -> tuple[str, str, int, int]:
        """The build, the launch, how often a build was submitted, and how often a server was started."""
        world = self.fakes.world()
        build = world.builds.get(self.fakes.image(self.repo))
        assert build is not None
        [launch] = [*world.launches.where("open", "yes"), *world.launches.where("open", "no")]
        return build.status.value, launch.phase.value, len(self.fakes.backend.submitted), len(self.fakes.hub.started)


def ended(it: Situation) -> None:
    it.fakes.finish_build(it.repo)


def ended_badly(it: Situation) -> None:
    it.fakes.backend.finish(it.name, BuildStatus.FAILURE, "no such package")


def evicted(it: Situation) -> None:
    it.fakes.backend.finish(it.name, BuildStatus.INTERNAL_ERROR, "evicted", our_fault=True)


def without_image(it: Situation) -> None:
    it.fakes.backend.finish(it.name)


def lost(it: Situation) -> None:
    it.fakes.backend.cancel(it.name)


def never_submitted(it: Situation) -> None:
    lost(it)
    it.fakes.backend.submitted.clear()
    it.build(status=BuildStatus.PENDING, backend_id="", lease_until=it.now - 1)


def being_submitted(it: Situation) -> None:
    never_submitted(it)
    it.build(lease_until=it.now + 1)


def submitted_unrecorded(it: Situation) -> None:
    it.build(status=BuildStatus.PENDING, backend_id="", lease_until=it.now - 1)


def recorded(it: Situation) -> None:
    """The build is recorded, and whoever was to advance its launches died."""
    ended(it)
    digest = it.fakes.registry.put(it.fakes.image(it.repo))
    it.build(status=BuildStatus.SUCCESS, digest=digest, finished_at=it.now)


def stuck(it: Situation) -> None:
    it.build(created_at=it.now - 7200)


def launching(it: Situation) -> None:
    ended(it)
    run(it.fakes)


def server_ready(it: Situation) -> None:
    it.fakes.hub.make_ready(it.fakes.hub.started[0][0])


def server_gone(it: Situation) -> None:
    it.fakes.hub.set_server(it.fakes.hub.started[0][0], None)


def started_often(it: Situation) -> None:
    it.launch(starts=3)


def unrecorded(it: Situation) -> None:
    """Whoever asked the Hub for the server died before it wrote that down."""
    it.launch(asked_at=0.0)


def only_named(it: Situation) -> None:
    unrecorded(it)
    it.fakes.hub.delete_user(it.fakes.hub.started[0][0])
    it.fakes.hub.started.clear()


def in_other_hands(it: Situation) -> None:
    it.launch(lease_holder="another", lease_until=it.now + 30)


def in_dead_hands(it: Situation) -> None:
    it.launch(lease_holder="another", lease_until=it.now - 1)


def unwatched(it: Situation) -> None:
    it.fakes.clock.time += 61


def forsaken(it: Situation) -> None:
    it.launch(last_seen_at=it.now - 3601)


def too_late(it: Situation) -> None:
    it.fakes.clock.time += 601


# What has happened -> the build, the launch, builds submitted, servers started.
MATRIX: Sequence[tuple[Sequence[Callable[[Situation], None]], tuple[str, str, int, int]]] = (
    ([], ("QUEUED", "waiting", 1, 0)),
    ([ended], ("SUCCESS", "launching", 1, 1)),
    ([ended_badly], ("FAILURE", "failed", 1, 0)),
    ([evicted], ("QUEUED", "waiting", 2, 0)),
    ([without_image], ("QUEUED", "waiting", 2, 0)),
    ([lost], ("QUEUED", "waiting", 2, 0)),
    ([being_submitted], ("PENDING", "waiting", 0, 0)),
    ([never_submitted], ("QUEUED", "waiting", 1, 0)),
    ([submitted_unrecorded], ("QUEUED", "waiting", 1, 0)),
    ([submitted_unrecorded, ended], ("QUEUED", "waiting", 1, 0)),
    ([stuck], ("QUEUED", "waiting", 2, 0)),
    ([stuck, ended], ("SUCCESS", "launching", 1, 1)),
    ([never_submitted, stuck], ("QUEUED", "waiting", 1, 0)),
    ([recorded], ("SUCCESS", "launching", 1, 1)),
    ([recorded, in_other_hands], ("SUCCESS", "waiting", 1, 0)),
    ([recorded, in_dead_hands], ("SUCCESS", "launching", 1, 1)),
    ([ended, unwatched], ("SUCCESS", "waiting", 1, 0)),
    ([unwatched, forsaken], ("QUEUED", "stopped", 1, 0)),
    ([ended, forsaken], ("SUCCESS", "stopped", 1, 0)),
    ([launching], ("SUCCESS", "launching", 1, 1)),
    ([launching, server_ready], ("SUCCESS", "ready", 1, 1)),
    ([launching, server_gone], ("SUCCESS", "launching", 1, 1)),
    ([launching, server_gone, started_often], ("SUCCESS", "failed", 1, 1)),
    ([launching, server_gone, unwatched], ("SUCCESS", "failed", 1, 1)),
    ([launching, too_late], ("SUCCESS", "failed", 1, 1)),
    ([launching, unrecorded], ("SUCCESS", "launching", 1, 1)),
    ([launching, server_ready, unrecorded], ("SUCCESS", "ready", 1, 1)),
    ([launching, server_ready, unrecorded, in_dead_hands], ("SUCCESS", "ready", 1, 1)),
    ([launching, server_ready, unrecorded, in_other_hands], ("SUCCESS", "launching", 1, 1)),
    ([launching, only_named], ("SUCCESS", "launching", 1, 1)),
)


def named(row: Any) -> str:
    return " and ".join(step.__name__ for step in row).replace("_", " ") or "nothing new"


@pytest.mark.parametrize(("events", "outcome"), MATRIX, ids=lambda row: named(row) if isinstance(row, list) else "")
def test_after_a_round(events: Sequence[Callable[[Situation], None]], outcome: tuple[str, str, int, int]) -> None:
    situation = Situation()
    for event in events:
        event(situation)
    run(situation.fakes)
    assert situation.outcome() == outcome


@pytest.mark.parametrize(("events", "outcome"), MATRIX, ids=lambda row: named(row) if isinstance(row, list) else "")
def test_more_rounds_build_and_start_nothing_twice(
    events: Sequence[Callable[[Situation], None]], outcome: tuple[str, str, int, int]
) -> None:
    situation = Situation()
    for event in events:
        event(situation)
    for _ in range(3):
        run(situation.fakes)
    assert situation.outcome()[3] <= max(outcome[3], 1)
    assert situation.outcome()[2] <= outcome[2]


def test_a_full_hub_is_asked_again_later() -> None:
    situation = Situation()
    recorded(situation)
    situation.fakes.hub.errors = [RateLimited("JupyterHub", retry_after_s=5)]
    run(situation.fakes)
    assert situation.outcome()[1] == Phase.LAUNCHING.value
    assert situation.fakes.hub.started == []
    situation.fakes.clock.time += 6
    run(situation.fakes)
    assert len(situation.fakes.hub.started) == 1


def test_a_backend_that_does_not_answer_loses_no_build() -> None:
    situation = Situation()
    lost(situation)
    situation.fakes.backend.error = UpstreamError("Kubernetes", "answered 500.")
    report = run(situation.fakes)
    assert report["trouble"] == ["Kubernetes answered 500."]
    assert situation.outcome() == ("QUEUED", "waiting", 1, 0)


def test_a_stuck_build_is_cancelled_and_counted() -> None:
    situation = Situation()
    stuck(situation)
    report = run(situation.fakes)
    assert report["removed"]["build"] == {"is stuck": 1}
    assert situation.fakes.backend.cancelled == [situation.name]


def test_a_server_that_is_gone_unheard_is_no_longer_taken_for_running() -> None:
    situation = Situation()
    launching(situation)
    server_ready(situation)
    run(situation.fakes)
    [launch] = situation.fakes.world().launches.where("running", "yes")
    situation.fakes.world().launches.change(launch.id, lambda it: replace(it, collected_at=situation.now))
    situation.fakes.hub.delete_user(launch.user)
    situation.fakes.clock.time += 3601
    assert run(situation.fakes)["mended"]["launch"] == {"has lost its server": 1}
    assert situation.fakes.world().launches.where("running", "yes") == []
