"""Asking for a build or a launch, and asking after it, without following a stream."""

from __future__ import annotations

from dataclasses import replace

from functions.core.build import Build
from functions.core.errors import NotFound
from functions.core.launch import Launch
from functions.core.names import image_name
from functions.core.ports import BuildStatus, ResolvedRepo
from functions.launching.advance import advance
from functions.launching.arrival import Asked, arrive, check_resolved, resolve
from functions.launching.building import ensure_build, find_image, refresh_build, refuse_another
from functions.world import World


def ask_for_launch(asked: Asked, world: World) -> Launch:
    """The launch that *asked* is about, begun if need be, with its first steps taken. Raises what stands in the way."""
    launch = arrive(asked, world).launch
    return advance(launch.id, world) or launch


def look_after(launch: Launch, world: World) -> Launch:
    """The launch as it stands now, after the steps that are due; remembered as wanted, and as collected once ready."""
    if not (launch.open or launch.running):
        return launch
    now = world.clock.now()
    world.launches.change(launch.id, lambda it: replace(it, last_seen_at=now))
    advanced = advance(launch.id, world) or launch
    if advanced.running and not advanced.collected_at:
        world.launches.change(launch.id, lambda it: replace(it, collected_at=now))
    return advanced


def ask_for_build(asked: Asked, world: World) -> Build:
    """The build of the image that *asked* is about, begun if the image is missing. Raises what stands in the way."""
    repo = resolve(asked, world).repo
    check_resolved(asked, repo, world)
    image = image_name(world.config.registry.image_prefix, repo.slug, repo.sha)
    digest, _ = find_image(image, world)
    if not digest:
        return ensure_build(repo, image, world, host=asked.host)
    refuse_another(world.builds.get(image), repo)
    return _there(repo, image, digest, world)


def known_build(image: str, world: World) -> Build:
    """The build of *image* as its backend knows it. Raises NotFound for one that never was."""
    build = world.builds.get(image)
    if build is None:
        raise NotFound("There is no such build.")
    return refresh_build(build, world)


def _there(repo: ResolvedRepo, image: str, digest: str, world: World) -> Build:
    """The record of an image that is in the registry, whoever has put it there."""
    now = world.clock.now()
    found = Build(
        image=image,
        repo_url=repo.repo_url,
        ref=repo.sha,
        backend=world.config.builds.backend,
        created_at=now,
        provider=repo.provider,
        attempt=0,
        status=BuildStatus.SUCCESS,
        finished_at=now,
        digest=digest,
    )
    if world.builds.create_if_absent(found):
        return found
    known = world.builds.get(image)
    return known if known is not None and (known.open or known.succeeded) else found
