"""How a watcher comes to a launch: it begins one, or comes back to the one it left."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from functions.core import launch as launches
from functions.core import limits
from functions.core.errors import InvalidSpec, RefNotFound
from functions.core.launch import Launch, Phase
from functions.core.limits import InUse
from functions.core.names import image_name
from functions.core.ports import ResolvedRepo
from functions.core.progress import EventId
from functions.core.specs import is_sha
from functions.launching.building import find_image, refuse_another
from functions.launching.refs import Resolution
from functions.world import World

log = logging.getLogger(__name__)

# However often somebody comes back, the record is not written more often.
SEEN_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a watcher asks for. `resume_key` is empty without a cookie, `resume` None without Last-Event-ID.

    `from_page` says that a build token has proved that a page of ours asks; `origin` and `request_origin` are the sites
    that were asked and that asked, for the log of launches. `principal` is who has signed in, empty: nobody.
    """

    provider: str
    spec: str
    host: str
    client_ip: str
    resume_key: str
    resume: EventId | None
    build_only: bool = False
    from_page: bool = False
    origin: str = ""
    request_origin: str = ""
    principal: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A launch, how many of its events this watcher has been told, and sentences to tell it first."""

    launch: Launch
    told: int = 0
    notices: tuple[str, ...] = ()


def arrive(asked: Asked, world: World) -> Arrival:
    """The launch that *asked* is about. Raises what stands in the way of beginning it."""
    launch = _resumed(asked, world)
    if launch is not None:
        same = asked.resume is not None and asked.resume.launch_id == launch.id
        arrival = Arrival(launch, told=asked.resume.number if asked.resume and same else 0)
    else:
        if not asked.build_only:
            # No git host is asked for nothing, nor does its trouble hide what people are told.
            limits.check_open(world.limits.now())
        resolution = resolve(asked, world)
        launch, notice = _begin(asked, resolution.repo, world)
        arrival = Arrival(launch, notices=tuple(filter(None, [resolution.notice, notice])))
    now = world.clock.now()
    seen = world.launches.change(arrival.launch.id, lambda it: launches.seen(it, now=now, every_s=SEEN_EVERY_S))
    return replace(arrival, launch=seen or arrival.launch)


def comes_back(asked: Asked, world: World) -> bool:
    """Whether *asked* is about a launch that has begun. Raises what keeps it from being looked up."""
    return _resumed(asked, world) is not None


def resolve(asked: Asked, world: World) -> Resolution:
    """The repository at its commit; with a word to the watcher when its old default branch had to be replaced."""
    provider = world.providers.get(asked.provider)
    if provider is None:
        raise InvalidSpec(f"No provider found for prefix {asked.provider[:40]}")
    limits.check_spec(world.limits.now(), f"{asked.provider}/{asked.spec}")
    try:
        return world.refs.resolve(provider, asked.spec)
    except RefNotFound as error:
        # Links made before GitHub renamed its default branch name `master`; BinderHub tries HEAD for them.
        stem, _, ref = asked.spec.rpartition("/")
        if asked.provider != "gh" or ref not in ("master", "main"):
            raise
        hint = f"{error} Trying again with HEAD instead of {ref}. Please update your links."
        resolution = world.refs.resolve(provider, f"{stem}/HEAD")
        return replace(resolution, notice=" ".join(filter(None, [hint, resolution.notice])))


def check_resolved(asked: Asked, repo: ResolvedRepo, world: World) -> None:
    """Raise NotAllowed when what *asked* names may not be launched, however it is spelled."""
    limits.check_spec(
        world.limits.now(), f"{asked.provider}/{asked.spec}", resolved=f"{asked.provider}/{repo.resolved_spec}"
    )


def _begin(asked: Asked, repo: ResolvedRepo, world: World) -> tuple[Launch, str]:
    """A new launch, or the one that another tab of the same browser has begun in the meantime; with a word to the
    watcher when the registry is out. Raises QuotaExceeded when there is no room."""
    now = world.clock.now()
    check_resolved(asked, repo, world)
    if not asked.build_only:
        _check_room(asked, repo, world)
    image = image_name(world.config.registry.image_prefix, repo.slug, repo.sha)
    digest, notice = find_image(image, world)
    if digest and not is_sha(repo.sha):
        refuse_another(world.builds.get(image), repo)
    launch = Launch(
        id=world.new_id(),
        provider=asked.provider,
        spec=asked.spec,
        repo=repo,
        image=image,
        created_at=now,
        # Watched only once its browser can find it again: should we die before that, nobody's server is not started.
        last_seen_at=now - world.config.launches.watcher_gone_s - SEEN_EVERY_S,
        token=world.new_token(),
        host=asked.host,
        client_ip=asked.client_ip,
        resume_key=asked.resume_key,
        digest=digest,
        build_only=asked.build_only,
        build_token=asked.from_page,
        origin=asked.origin,
        request_origin=asked.request_origin,
        principal=asked.principal,
    )
    world.launches.create_if_absent(launch)
    world.places.arrived(launch)
    return _claim(launch, world), notice


def _check_room(asked: Asked, repo: ResolvedRepo, world: World) -> None:
    known = world.limits.now()
    limits.check_room(
        known,
        f"{asked.provider}/{asked.spec}",
        repo.repo_url,
        world.places.in_use() if known.counts else InUse(),
        resolved=f"{asked.provider}/{repo.resolved_spec}",
        queue_length=world.config.launches.queue_length,
    )


def _claim(launch: Launch, world: World) -> Launch:
    """Remember the launch as this browser's; should it have a live one, that one is used instead.

    It may have come to one since we looked: in another tab, or while this instance was frozen.
    """
    if not launch.resume_key:
        return launch
    memory = {"launch_id": launch.id}
    while world.store.create_if_absent("resume", launch.resume_key, memory) is None:
        known = world.store.get("resume", launch.resume_key)
        if known is None:
            continue
        other = world.launches.get(str(known.data["launch_id"]))
        alive = None if other is None else _if_alive(other, world, failures=False)
        if alive is not None:
            world.launches.delete(launch.id)
            return alive
        if world.store.compare_and_set("resume", launch.resume_key, known.version, memory) is not None:
            break
    return launch


def _resumed(asked: Asked, world: World) -> Launch | None:
    """The launch that this watcher left, if there is one to come back to."""
    if asked.resume is not None:
        launch = world.launches.get(asked.resume.launch_id)
        if launch is not None and _is_about(launch, asked):
            return _if_alive(launch, world, failures=True)
    known = world.store.get("resume", asked.resume_key) if asked.resume_key else None
    launch = None if known is None else world.launches.get(str(known.data["launch_id"]))
    return None if launch is None else _if_alive(launch, world, failures=False)


def _is_about(launch: Launch, asked: Asked) -> bool:
    return (launch.provider, launch.spec, launch.build_only) == (asked.provider, asked.spec, asked.build_only)


def _if_alive(launch: Launch, world: World, *, failures: bool) -> Launch | None:
    # An EventSource that reconnects wants the end of its story, a person who reloads wants another try.
    if launch.open or (failures and launch.phase is Phase.FAILED):
        return launch
    if launch.phase is not Phase.READY:
        return None
    if launch.build_only:
        return launch
    user = world.hub.user(launch.user)
    return launch if user is not None and user.server is not None and user.server.ready else None
