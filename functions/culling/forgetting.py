"""Forgetting what is over: records of launches, of specs and of pushes, and single outcomes."""

from __future__ import annotations

from functions.core import launch as launches
from functions.core.launch import Launch
from functions.culling.rounds import Round
from functions.reporting import outcomes
from functions.state import retention
from functions.world import World

# Kinds of records that name the last day on which they are wanted.
EXPIRING = ("ref", "delivery", "prebuild", "prebuild_day", "rate")
MOST_EXPIRED = 1000


def forget_launches(round_: Round) -> None:
    """Records of launches that can no longer be resumed. One whose server is gone unheard is ended first."""
    for launch in round_.each("ended launches", round_.world.launches, "open", "no"):
        with round_.tolerating():
            _consider(launch, round_)


def forget_expired(round_: Round) -> None:
    """What specs were resolved to, what was pushed, and how often somebody asked, when it is wanted no more."""
    for kind in EXPIRING:
        _forget_expired(kind, round_)


def fold_outcomes(round_: Round) -> None:
    """Single outcomes into the totals that /metrics tells."""
    if round_.dry_run:
        return
    while not round_.over() and (folded := outcomes.fold_batch(round_.world)):
        round_.note("removed", "outcome", "is in the totals", folded)


def _forget_expired(kind: str, round_: Round) -> None:
    store = round_.world.store
    expired = retention.expired(store, kind, now=round_.world.clock.now(), most=MOST_EXPIRED)
    for done, key in enumerate(expired):
        if round_.over():
            round_.note("left", kind, "no time", len(expired) - done)
            return
        if not round_.dry_run:
            store.delete(kind, key)
        round_.note("removed", kind, "was not asked for")


def _consider(launch: Launch, round_: Round) -> None:
    world, now = round_.world, round_.world.clock.now()
    if now - launch.ended_at <= world.config.launches.keep_s:
        round_.note("kept", "record", "can be resumed")
    elif launch.running and round_.has_server(launch.user):
        round_.note("kept", "record", "has a server")
    elif launch.running:
        if not round_.dry_run:
            world.launches.change(launch.id, lambda it: launches.stopped(it, now=now) if it.running else None)
        round_.did("mended", "launch", launch.user, "has lost its server")
    else:
        if not round_.dry_run:
            _forget(launch, world)
        round_.note("removed", "record", "is over")


def _forget(launch: Launch, world: World) -> None:
    known = world.store.get("resume", launch.resume_key) if launch.resume_key else None
    if known is not None and known.data["launch_id"] == launch.id:
        world.store.delete("resume", launch.resume_key)
    world.launches.delete(launch.id)
