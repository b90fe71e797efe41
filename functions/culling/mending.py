"""Moving builds and launches on that events have missed: gather the facts, let the core decide, do it."""

from __future__ import annotations

from collections.abc import Sequence

from functions.core import launch as launches
from functions.core.build import Build
from functions.core.cloud_build import longest_build_s
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
    deserted,
    mend_build,
    mend_launch,
)
from functions.culling.rounds import Round
from functions.launching import building, prebuilding
from functions.launching.advance import advance, due
from functions.world import World

# The user, its server, and how that is.
_CALLS_OF_A_LAUNCH = 3


def mend_builds(round_: Round) -> None:
    """Every open build: submitted if nobody has, recorded if it has ended or is lost, given up if it is stuck."""
    for build in round_.each("builds", round_.world.builds, "open", "yes", deadline=round_.mending_deadline):
        with round_.tolerating():
            _mend_build(build, round_)


def mend_launches(round_: Round) -> None:
    """Every open launch: its next step taken, or ended when nobody will come back to it."""
    for launch in round_.each("launches", round_.world.launches, "open", "yes", deadline=round_.mending_deadline):
        with round_.tolerating():
            _mend_launch(launch, round_)


def mend_pushes(round_: Round) -> None:
    """Pushed commits whose build was put off, because of another one just before or of a service that was out."""
    if round_.dry_run:
        return
    for status, count in prebuilding.keep_up(round_.world, until=round_.mending_deadline).items():
        round_.note("mended", "push", status, count)


def _mend_build(build: Build, round_: Round) -> None:
    world = round_.world
    match _repair_of_build(build, world):
        case Leave(reason):
            _keep_build(build, reason, round_)
        case Submit():
            if round_.dry_run or building.submit_again(build, world):
                round_.did("mended", "build", build.image, "was never submitted")
        case Record(found, reason):
            if round_.dry_run or not building.record_report(build, found, world).open:
                round_.did("mended", "build", build.image, reason)
        case GiveUp(reason):
            if round_.dry_run or building.give_up_build(build, world):
                round_.did("removed", "build", build.image, reason)


def _keep_build(build: Build, reason: str, round_: Round) -> None:
    world = round_.world
    limit_s, now = world.config.builds.cancel_deserted_s, world.clock.now()
    waiting = world.launches.where("waiting_for", build.image)
    if not deserted(waiting, now=now, limit_s=limit_s):
        return round_.note("kept", "build", reason)
    if not round_.dry_run and not _cancel(build, waiting, world):
        return round_.note("kept", "build", "is wanted again")
    return round_.did("removed", "build", build.image, "nobody waits for it any more")


def _cancel(build: Build, waiting: Sequence[Launch], world: World) -> bool:
    limit_s, now = world.config.builds.cancel_deserted_s, world.clock.now()

    def end(it: Launch) -> Launch | None:
        # Its watcher may have come back since.
        gone = it.phase is Phase.WAITING and deserted([it], now=now, limit_s=limit_s)
        return launches.stopped(it, now=now) if gone else None

    for launch in waiting:
        world.launches.change(launch.id, end)
    return building.cancel_build(build.image, "The build was cancelled because nobody waited for it.", world)


def _repair_of_build(build: Build, world: World) -> BuildRepair:
    now, timeout_s = world.clock.now(), longest_build_s(world.config.builds, world.config.cloud_build)
    repair = mend_build(build, NotAsked(), now=now, timeout_s=timeout_s)
    if isinstance(repair, Ask):
        repair = mend_build(build, world.backend.status(build.backend_id), now=now, timeout_s=timeout_s)
    return repair


def _mend_launch(launch: Launch, round_: Round) -> None:
    match _repair(launch, round_.world):
        case Leave(reason):
            round_.note("kept", "launch", reason)
        case Advance():
            _advance(launch, round_)
        case Abandon():
            if round_.dry_run or _abandon(launch, round_.world):
                round_.did("removed", "launch", launch.image, "was abandoned")


def _repair(launch: Launch, world: World) -> LaunchRepair:
    keep_s = world.config.launches.keep_s
    return mend_launch(launch, due(launch, world), now=world.clock.now(), keep_s=keep_s)


def _advance(launch: Launch, round_: Round) -> None:
    if round_.dry_run:
        return round_.did("mended", "launch", launch.image, "had a step to take")
    if not round_.may_ask_hub(_CALLS_OF_A_LAUNCH):
        return round_.note("left", "launches", "no calls of the Hub left")
    after = advance(launch.id, round_.world)
    if after is None or (after.phase, after.asked_at) == (launch.phase, launch.asked_at):
        return round_.note("kept", "launch", "waits")
    return round_.did("mended", "launch", launch.image, f"is {after.phase} now")


def _abandon(launch: Launch, world: World) -> bool:
    now = world.clock.now()

    def end(it: Launch) -> Launch | None:
        # Its watcher may have come back since.
        return launches.stopped(it, now=now) if isinstance(_repair(it, world), Abandon) else None

    return world.launches.change(launch.id, end) is not None
