"""Taking the steps of a launch: for the stream, the event and the cull alike.

Nothing here happens exactly once. A step may be repeated by another instance after a crash or an expired lease, so
every step is one that may be repeated: names are settled and stored before anybody else hears of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from functions.core import launch as launches
from functions.core.build import launched
from functions.core.errors import BinderError, RateLimited
from functions.core.launch import Launch, Phase
from functions.core.launch_event import launch_event
from functions.core.limits import refusal_of_all
from functions.core.next_step import (
    AskHub,
    Facts,
    Fail,
    Finish,
    JoinBuild,
    NameUser,
    NotAsked,
    Queue,
    StartAgain,
    StartServer,
    Step,
    StepBack,
    Wait,
    next_step,
)
from functions.core.places import GO, Turn
from functions.core.ports import HubServer
from functions.core.server_options import server_options
from functions.launching.building import ensure_build
from functions.reporting import outcomes
from functions.world import World

log = logging.getLogger(__name__)

_MOST_STEPS = 10
_NOT_ASKED = NotAsked()


def advance(launch_id: str, world: World) -> Launch | None:
    """Take the steps that are due, under the launch's lease, until there is nothing to do but wait.

    Returns the launch as it stands then; None when there is no such launch. A service that does not answer postpones
    the launch instead of failing it.
    """
    launch = world.launches.get(launch_id)
    if launch is None or isinstance(_decide(launch, world), Wait):
        return launch
    holder, now = world.new_id(), world.clock.now()
    leased = world.launches.change(launch_id, lambda it: launches.lease(it, holder, now=now))
    if leased is None:
        return launch
    try:
        return _take_steps(leased, world)
    except BinderError as error:
        if error.retry:
            return _release(leased, world, _postponed(error, world))
        return _give_up(leased, world, error)


def due(launch: Launch, world: World) -> Step:
    """What `advance` would begin with."""
    return _decide(launch, world)


def _take_steps(launch: Launch, world: World) -> Launch | None:
    server: HubServer | NotAsked | None = _NOT_ASKED
    for _ in range(_MOST_STEPS):
        step = _decide(launch, world, server)
        if isinstance(step, Wait):
            break
        if isinstance(step, AskHub):
            user = world.hub.user(launch.user)
            server = None if user is None else user.server
            continue
        changed = _take(step, launch, world)
        if changed is None:
            return world.launches.get(launch.id)
        # What the Hub said of the server was before this step.
        launch, server = changed, _NOT_ASKED
    return _release(launch, world, lambda it: it)


def _take(step: Step, launch: Launch, world: World) -> Launch | None:
    """The launch after *step*; None when its lease has passed to another instance."""
    match step:
        case JoinBuild():
            return _join_build(launch, world)
        case NameUser():
            return _name_user(launch, world)
        case StartServer():
            return _start_server(launch, world)
        case Fail(reason, status):
            return _fail(launch, world, reason, status)
        case _:
            return _write(launch, world, lambda it: _changed(step, it, world))


def _changed(step: Step, launch: Launch, world: World) -> Launch:
    """The launch after a step that nobody else need hear of."""
    now = world.clock.now()
    match step:
        case Queue():
            return launches.queued(launch, now=now)
        case StepBack():
            return launches.stepped_back(launch, now=now)
        case StartAgain():
            return launches.lost(launch, now=now)
        case Finish():
            return _finished(launch, world)
        case _:
            return launch


def _decide(launch: Launch, world: World, server: HubServer | NotAsked | None = _NOT_ASKED) -> Step:
    settings = world.config.launches
    facts = Facts(
        now=world.clock.now(), server=server, watcher_gone_s=settings.watcher_gone_s, timeout_s=settings.timeout_s
    )
    build = world.builds.get(launch.image) if launch.phase is Phase.WAITING else None
    step = next_step(launch, build, facts)
    if isinstance(step, NameUser):
        has_place, refusal = turn(launch, world).now, refusal_of_all(world.limits.now())
        return next_step(launch, build, replace(facts, has_place=has_place, refusal=refusal))
    if isinstance(step, StartServer):
        step = next_step(launch, build, replace(facts, may_start=turn(launch, world).now))
    if isinstance(step, StartServer):
        return next_step(launch, build, replace(facts, has_place=world.places.holds(launch)))
    return step


def turn(launch: Launch, world: World) -> Turn:
    """Whether *launch* may take the step to its place on the hub, or from there to its server; how many are before it
    if not."""
    return world.gate.turn(launch) if launch.user else world.places.turn(launch)


def place_in_queue(launch: Launch, world: World) -> Turn:
    """Where *launch* stands, for who asks; one that does not wait for its turn may go on."""
    waits = (
        launch.phase is Phase.LAUNCHING and not launch.asked_at or launch.phase is Phase.WAITING and launch.queued_at
    )
    return turn(launch, world) if waits else GO


def _join_build(launch: Launch, world: World) -> Launch | None:
    build = ensure_build(launch.repo, launch.image, world, host=launch.host)
    return _write(launch, world, lambda it: replace(it, attempt=build.attempt, digest=build.digest))


def _name_user(launch: Launch, world: World) -> Launch | None:
    build = world.builds.get(launch.image)
    digest = launch.digest or (build.digest if build else "")
    if build is not None:
        world.builds.change(launch.image, lambda it: launched(it, now=world.clock.now()))
    return _write(launch, world, lambda it: launches.named(it, digest=digest, now=world.clock.now()))


def _start_server(launch: Launch, world: World) -> Launch | None:
    def start() -> None:
        world.hub.create_user(launch.user)
        world.hub.start_server(launch.user, server_options(launch))

    if not world.gate.ask(start):
        return _write(launch, world, launches.refused) if launch.pauses else launch
    return _write(launch, world, lambda it: launches.asked(it, now=world.clock.now()))


def _finished(launch: Launch, world: World) -> Launch:
    url = world.hub.server_url(launch.user) if launch.user else ""
    return launches.finished(launch, url, now=world.clock.now())


def _fail(launch: Launch, world: World, reason: str, status: int) -> Launch | None:
    if not reason:
        reason = _last_words_of_the_hub(launch, world)
    changed = _write(launch, world, _failing(reason, status, world))
    if changed is not None:
        _leave_nothing(changed, world)
    return changed


def _give_up(launch: Launch, world: World, error: BinderError) -> Launch | None:
    """End the launch for an error that would only come again."""
    ended = _release(launch, world, _failing(str(error), error.status, world))
    if ended is not None and ended.phase is Phase.FAILED:
        _leave_nothing(ended, world)
    return ended


def _leave_nothing(launch: Launch, world: World) -> None:
    """Take a failed launch's user from the Hub, with what may have started. The cull takes what stays here."""
    if not launch.user:
        return
    try:
        world.hub.delete_user(launch.user)
    except BinderError as error:
        log.warning("user left behind", extra={"fields": {"user": launch.user, "reason": str(error)}})


def _last_words_of_the_hub(launch: Launch, world: World) -> str:
    last = ""
    for progress in world.hub.progress(launch.user):
        last = progress.message if progress is not None else last
    return last or "The server stopped before it was ready."


def _postponed(error: BinderError, world: World) -> Callable[[Launch], Launch]:
    pause_s = error.retry_after_s if isinstance(error, RateLimited) else None
    return lambda it: launches.paused(it, now=world.clock.now(), pause_s=pause_s)


def _failing(reason: str, status: int, world: World) -> Callable[[Launch], Launch]:
    return lambda it: launches.failed(it, reason, status=status, now=world.clock.now())


def _write(launch: Launch, world: World, change: Callable[[Launch], Launch]) -> Launch | None:
    """Write the result of a step, unless another instance has taken the lease over meanwhile.

    The end of a launch is counted before it is written, and logged after it: whoever dies in between has it counted
    again under the same key, or leaves one event unsaid.
    """
    ends = False

    def step(it: Launch) -> Launch | None:
        nonlocal ends
        if it.lease_holder != launch.lease_holder:
            return None
        after = change(it)
        ends = it.open and not after.open
        if ends:
            outcomes.count_launch(after, world)
        return after

    changed = world.launches.change(launch.id, step)
    if changed is not None and ends:
        log.info("launch", extra={"fields": launch_event(changed)})
    return changed


def _release(launch: Launch, world: World, change: Callable[[Launch], Launch]) -> Launch | None:
    released = _write(launch, world, lambda it: launches.released(change(it)))
    return released or world.launches.get(launch.id)
