"""What is known of a build or launch now, for those who ask instead of following: its log, and the events so far."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from functions.core import progress
from functions.core.build import Build
from functions.core.launch import Launch, Phase
from functions.core.progress import Event
from functions.launching.feeds import MOST_LINES
from functions.world import World


def build_log(build: Build, world: World) -> Iterator[str]:
    """The lines of a build's log so far, as text for people; read piece by piece. Raises UpstreamError.

    The backend keeps it for a while after the build, and so long it is told.
    """
    for line in _lines(build, world):
        yield str(progress.log_line(line)["message"])


def events_so_far(launch: Launch, world: World) -> Iterator[Event]:
    """What a watcher who comes now would be told at once, in order; the Hub's own progress is told live only."""
    if launch.attempt:
        yield progress.waiting("Waiting for build to start...")
        build = world.builds.get(launch.image)
        if build is not None and build.attempt == launch.attempt:
            yield from map(progress.log_line, _lines(build, world))
    if launch.user:
        yield progress.built(launch.image, found=not launch.attempt)
        yield progress.launching("Launching server...")
    if launch.phase is Phase.READY:
        yield progress.ready(launch)
    elif not launch.open:
        yield progress.ended(launch)


def _lines(build: Build, world: World) -> Iterator[str]:
    return islice(_every_line(build, world), MOST_LINES)


def _every_line(build: Build, world: World) -> Iterator[str]:
    cursor = ""
    while build.backend_id:
        chunk = world.backend.log(build.backend_id, cursor)
        if not chunk.lines:
            return
        yield from chunk.lines
        cursor = chunk.cursor
