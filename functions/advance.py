"""Taking the steps of a launch, and keeping the record of its build: for the stream, the event and the cull alike.

Nothing here happens exactly once. A step may be repeated by another instance after a crash or an expired lease, so
every step is one that may be repeated: names are settled and stored before anybody else hears of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from functions.core import build as builds
from functions.core import launch as launches
from functions.core.build import Build
from functions.core.errors import BinderError, LaunchFailed, RateLimited, UpstreamError
from functions.core.launch import (
    AskHub,
    Facts,
    Fail,
    Finish,
    JoinBuild,
    Launch,
    NameUser,
    NotAsked,
    Phase,
    StartServer,
    Wait,
    next_step,
)
from functions.core.ports import HubServer, ImageFound, ImageMissing, ResolvedRepo
from functions.world import World

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
        after = _postponed(error, world) if error.retry else _failing(str(error), error.status, world)
        return _release(leased, world, after)


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
        launch = changed
    return _release(launch, world, lambda it: it)


def _take(step: launches.Step, launch: Launch, world: World) -> Launch | None:
    """The launch after *step*; None when its lease has passed to another instance."""
    match step:
        case JoinBuild():
            return _join_build(launch, world)
        case NameUser():
            return _name_user(launch, world)
        case StartServer():
            return _start_server(launch, world)
        case Finish():
            return _write(launch, world, lambda it: _finished(it, world))
        case Fail(reason, status):
            return _fail(launch, world, reason, status)
        case _:
            return launch


def _decide(launch: Launch, world: World, server: HubServer | NotAsked | None = _NOT_ASKED) -> launches.Step:
    settings = world.config.launches
    facts = Facts(
        now=world.clock.now(), server=server, watcher_gone_s=settings.watcher_gone_s, timeout_s=settings.timeout_s
    )
    build = world.builds.get(launch.image) if launch.phase is Phase.WAITING else None
    return next_step(launch, build, facts)


def _join_build(launch: Launch, world: World) -> Launch | None:
    build = ensure_build(launch.repo, launch.image, world)
    return _write(launch, world, lambda it: replace(it, attempt=build.attempt, digest=build.digest))


def _name_user(launch: Launch, world: World) -> Launch | None:
    build = world.builds.get(launch.image)
    digest = launch.digest or (build.digest if build else "")
    return _write(launch, world, lambda it: launches.named(it, digest=digest, now=world.clock.now()))


def _start_server(launch: Launch, world: World) -> Launch | None:
    world.hub.create_user(launch.user)
    world.hub.start_server(launch.user, launches.server_options(launch))
    return _write(launch, world, lambda it: launches.asked(it, now=world.clock.now()))


def _finished(launch: Launch, world: World) -> Launch:
    return launches.finished(launch, world.hub.server_url(launch.user), now=world.clock.now())


def _fail(launch: Launch, world: World, reason: str, status: int) -> Launch | None:
    if not reason:
        reason = _last_words_of_the_hub(launch, world)
    changed = _write(launch, world, _failing(reason, status, world))
    if changed is not None and launch.user:
        world.hub.delete_user(launch.user)
    return changed


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
    """Write the result of a step, unless another instance has taken the lease over meanwhile."""
    return world.launches.change(launch.id, lambda it: change(it) if it.lease_holder == launch.lease_holder else None)


def _release(launch: Launch, world: World, change: Callable[[Launch], Launch]) -> Launch | None:
    released = _write(launch, world, lambda it: launches.released(change(it)))
    return released or world.launches.get(launch.id)


def find_image(image: str, world: World) -> tuple[str, str]:
    """The image's digest, empty when it must be built; with a word to the watcher when our own record had to decide.

    A registry that cannot tell never makes a build: raises UpstreamError when we do not know the image ourselves.
    """
    try:
        match world.registry.find(image):
            case ImageFound(digest):
                return digest, ""
            case ImageMissing():
                return "", ""
    except UpstreamError as error:
        build = world.builds.get(image)
        if build is not None and build.open:
            return "", f"{error} The image is being built."
        if build is not None and build.digest:
            day = datetime.fromtimestamp(build.finished_at, UTC)
            return build.digest, f"{error} Using the image built on {day:%Y-%m-%d}."
        hint = "Whether the image is there is not known, so nothing is built. Please try again later."
        raise UpstreamError(error.service, f"{error.detail} {hint}") from error


def ensure_build(repo: ResolvedRepo, image: str, world: World) -> Build:
    """The build of *image*: begun if nobody has, tried again if that is due, else as it is.

    However many ask at once, one of them submits; should that one die, the lease passes to the next.
    """
    now = world.clock.now()
    fresh = Build(
        image=image,
        repo_url=repo.repo_url,
        ref=repo.sha,
        backend=world.config.builds.backend,
        created_at=now,
        lease_until=now + builds.LEASE_S,
    )
    if world.builds.create_if_absent(fresh):
        return _submit(fresh, world)
    mine = world.builds.change(image, lambda build: _to_submit_or_retry(build, world))
    if mine is not None:
        return _submit(mine, world)
    build = world.builds.get(image)
    if build is None:
        raise LaunchFailed("The build was removed while it was being asked for. Please try again.")
    return build


def _to_submit_or_retry(build: Build, world: World) -> Build | None:
    now, pause_s = world.clock.now(), world.config.builds.retry_pause_s
    if build.succeeded and not isinstance(world.registry.find(build.image, fresh=True), ImageFound):
        build = builds.lost(build, now=now)
    return builds.to_submit(build, now=now) or builds.to_retry(build, now=now, pause_s=pause_s)


def _submit(build: Build, world: World) -> Build:
    try:
        backend_id = world.backend.submit(build.request)
    except BinderError:
        # Whoever comes next need not wait for our lease.
        world.builds.change(
            build.image, lambda it: replace(it, lease_until=0.0) if it.attempt == build.attempt else None
        )
        raise
    changed = world.builds.change(
        build.image, lambda it: builds.submitted(it, backend_id) if it.attempt == build.attempt and it.open else None
    )
    return changed or build


def refresh_build(build: Build, world: World) -> Build:
    """Ask the backend how an open build is, and record the answer; a message about it is only ever a hint.

    A build that has succeeded is recorded with the digest of its image, which is what is launched.
    """
    if not build.open or not build.backend_id:
        return build
    report = world.backend.status(build.backend_id)
    now = world.clock.now()
    after = builds.lost(build, now=now) if report is None else builds.reported(build, report, now=now)
    if after.succeeded:
        after = _with_digest(after, world)
    if after == build:
        return build
    changed = world.builds.change(build.image, lambda it: after if it == build else None)
    return changed or world.builds.get(build.image) or after


def _with_digest(build: Build, world: World) -> Build:
    match world.registry.find(build.image, fresh=True):
        case ImageFound(digest):
            return replace(build, digest=digest)
        case _:
            return replace(
                builds.lost(build, now=build.finished_at),
                reason="The build ended well, but its image is not in the registry. Please try again.",
            )
