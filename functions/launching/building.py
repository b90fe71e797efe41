"""Images, and the record of their builds: whether one is there, and that it is built once, whoever asks and dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from functions.core import build as builds
from functions.core.build import Build
from functions.core.errors import BinderError, LaunchFailed, NotAllowed, UpstreamError
from functions.core.ports import BuildReport, BuildStatus, ImageFound, ImageMissing, ResolvedRepo
from functions.reporting import outcomes
from functions.world import World


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


def ensure_build(repo: ResolvedRepo, image: str, world: World, *, host: str) -> Build:
    """The build of *image*: begun if nobody has, tried again if that is due, else as it is.

    However many ask at once, one of them submits; should that one die, the lease passes to the next. *host* is the
    address under which people know us.
    """
    now = world.clock.now()
    binder_url = f"{host}v2/{repo.provider}/{repo.resolved_spec}"
    fresh = Build(
        image=image,
        repo_url=repo.repo_url,
        ref=repo.sha,
        backend=world.config.builds.backend,
        created_at=now,
        appendix=builds.filled_appendix(world.config.builds.appendix, binder_url=binder_url, repo_url=repo.repo_url),
        provider=repo.provider,
        lease_until=now + builds.LEASE_S,
    )
    # Only who finds none tries to make one: a thousand who want the same image would make that record a hot one.
    if world.builds.get(image) is None and world.builds.create_if_absent(fresh):
        return _submit(fresh, world)
    mine = world.builds.change(image, lambda build: _to_submit_or_retry(build, repo, world))
    if mine is not None:
        return _submit(mine, world)
    build = world.builds.get(image)
    if build is None:
        raise LaunchFailed("The build was removed while it was being asked for. Please try again.")
    return build


def refuse_another(build: Build | None, repo: ResolvedRepo) -> None:
    """Raise NotAllowed when the image of that name was made, or is being made, of something else than *repo*."""
    if build is not None and builds.made_of_another(build, repo) and (build.open or build.succeeded):
        raise NotAllowed(f"An image of this name was built of {build.repo_url} already, so {repo.repo_url} gets none.")


def _to_submit_or_retry(build: Build, repo: ResolvedRepo, world: World) -> Build | None:
    refuse_another(build, repo)
    now = world.clock.now()
    # A failed build of something else does not keep the name, nor does it say anything of this one.
    pause_s = world.config.builds.retry_pause_s if build.repo_url == repo.repo_url else 0
    build = replace(build, repo_url=repo.repo_url)
    if build.succeeded and not isinstance(world.registry.find(build.image, fresh=True), ImageFound):
        build = builds.removed(build, now=now)
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
    return record_report(build, world.backend.status(build.backend_id), world)


def record_report(build: Build, report: BuildReport | None, world: World) -> Build:
    """Record what the backend says of an open build; None is that it does not know it."""
    now = world.clock.now()
    after = builds.lost(build, now=now) if report is None else builds.reported(build, report, now=now)
    if after.succeeded:
        after = _with_digest(after, world)
    if after == build:
        return build
    changed = world.builds.change(build.image, lambda it: _counted(after, world) if it == build else None)
    return changed or world.builds.get(build.image) or after


def cancel_build(image: str, reason: str, world: World) -> bool:
    """Stop the build of *image* unless somebody waits for it; whether it was stopped.

    It counts neither as a success nor as a failure. It is recorded first: a launch that comes in between begins the
    next attempt, under another name at the backend.
    """
    if world.launches.where("waiting_for", image, limit=1):
        return False
    known = world.builds.get(image)
    if known is not None:
        # It may have ended well, and nobody has heard of it yet.
        refresh_build(known, world)
    now = world.clock.now()
    stopped = world.builds.change(image, lambda build: builds.cancelled(build, reason, now=now))
    if stopped is None:
        return False
    try:
        world.backend.cancel(stopped.backend_id)
    except BinderError:
        # It goes on, so another one must not begin beside it.
        world.builds.change(image, lambda build: _going_on(build) if build == stopped else None)
        raise
    return True


def _going_on(build: Build) -> Build:
    return replace(build, status=BuildStatus.QUEUED, reason="", our_fault=False, finished_at=0.0)


def submit_again(build: Build, world: World) -> Build | None:
    """Submit a build that nobody has; None when somebody is about to."""
    mine = world.builds.change(build.image, lambda it: builds.to_submit(it, now=world.clock.now()))
    return None if mine is None else _submit(mine, world)


def give_up_build(build: Build, world: World) -> bool:
    """End an open build that will not end by itself, with what the backend has of it; False when it has moved on."""
    if build.backend_id:
        world.backend.cancel(build.backend_id)
    after = builds.given_up(build, now=world.clock.now())
    return world.builds.change(build.image, lambda it: _counted(after, world) if it == build else None) is not None


def _counted(build: Build, world: World) -> Build:
    # Before its end is written, so that it is counted whoever dies in between.
    if not build.open:
        outcomes.count_build(build, world)
    return build


def _with_digest(build: Build, world: World) -> Build:
    """The build with the digest of its image. One that the backend tells may be of an image that was deleted since:
    Cloud Build remembers what it built long ago."""
    try:
        found = world.registry.find(build.image, fresh=True)
    except UpstreamError:
        if build.digest:
            return build
        raise
    if isinstance(found, ImageFound):
        return replace(build, digest=build.digest or found.digest)
    return replace(
        builds.lost(build, now=build.finished_at),
        reason="The build ended well, but its image is not in the registry. Please try again.",
    )
