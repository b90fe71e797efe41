"""Deleting images that nobody has launched for long, where the operator wants it and the registry permits it."""

from __future__ import annotations

from functions.core.build import Build, wanted_at
from functions.culling.rounds import Round
from functions.state import retention

MOST_IMAGES = 100
# An image may be refused for its own sake: because an index names it, for instance.
MOST_REFUSALS = 5
LONGEST_BACKLOG_DAYS = 365
_OLDER = "older images"


def forget_images(round_: Round) -> None:
    """Images of builds of ours whose last launch is longer ago than `cull.image_keep_s`, with their records.

    Images that were in the registry before us have no record, and stay.
    """
    world = round_.world
    if not world.config.cull.image_keep_s:
        return
    now, days_ago, refusals = world.clock.now(), _days_ago(round_), 0
    for image in retention.expired(
        world.store, "build", now=now, most=MOST_IMAGES, field="image_until", days_ago=days_ago
    ):
        if round_.over():
            round_.note("left", "image", "no time")
            return
        build = world.builds.get(image)
        if build is not None and build.succeeded and not _forget(build, round_):
            refusals += 1
            if refusals == MOST_REFUSALS:
                return


def _days_ago(round_: Round) -> tuple[int, ...]:
    """The last days and, in each round, one of the year before them: what was refused then, or had no round."""
    before = int(round_.cursors.get(_OLDER, retention.FORGET_DAYS))
    older = before + 1 if before < LONGEST_BACKLOG_DAYS else retention.FORGET_DAYS + 1
    round_.cursors[_OLDER] = str(older)
    return (*retention.LAST_DAYS, older)


def _forget(build: Build, round_: Round) -> bool:
    """Delete one image; False when the registry permits no deletion."""
    world = round_.world
    if wanted_at(build) + world.config.cull.image_keep_s > world.clock.now():
        # Kept for longer since it was written: the setting has changed.
        if not round_.dry_run:
            world.builds.change(build.image, lambda it: it)
        round_.note("kept", "image", "was launched lately")
        return True
    if world.launches.where("waiting_for", build.image, limit=1):
        round_.note("kept", "image", "is waited for")
        return True
    if round_.dry_run:
        round_.did("removed", "image", build.image, "was not launched for long")
        return True
    if not world.registry.delete(build.image, build.digest):
        round_.note("kept", "image", "the registry does not permit its deletion")
        return False
    # Last: should we die before, the image is deleted once more. A launch that comes now finds neither, and builds.
    world.builds.delete(build.image)
    round_.did("removed", "image", build.image, "was not launched for long")
    return True
