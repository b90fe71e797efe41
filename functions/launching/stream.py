"""The launch, told once: from a link to a running server, as the events that its watcher sees."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from functions.core import launch as launches
from functions.core import progress
from functions.core.errors import BinderError, UpstreamError
from functions.core.launch import Launch, Phase
from functions.core.ports import LogChunk
from functions.core.progress import Event, EventId
from functions.launching.advance import advance, turn
from functions.launching.arrival import Asked, arrive
from functions.launching.building import refresh_build
from functions.launching.feeds import Look
from functions.world import World

log = logging.getLogger(__name__)

KEEPALIVE_S = 15.0
SEEN_EVERY_S = 20.0
# Cloud Run ends a request after 3600 s; clients take an early end for a failure, so we end only shortly before.
LONGEST_STREAM_S = 55 * 60
# After a build, clients that would come back at once for want of Last-Event-ID are held a while, as BinderHub does.
LINGER_S = 60.0


def launch_stream(asked: Asked, world: World) -> Iterator[str]:
    """The whole stream on the wire. Whatever goes wrong is one `failed` event, since the answer has begun."""
    yield from _told(_story(asked, world), provider=asked.provider, spec=asked.spec)


def follow(launch: Launch, world: World, *, told: int = 0) -> Iterator[str]:
    """The stream of a launch that is known already, after its first *told* events."""
    yield from _told(_Telling(launch, told, world).events(), provider=launch.provider, spec=launch.spec)


def _told(story: Iterator[str], *, provider: str, spec: str) -> Iterator[str]:
    yield progress.RETRY
    try:
        yield from story
    except BinderError as error:
        log.info("refused", extra={"fields": {"provider": provider, "spec": spec, "reason": str(error)}})
        # An EventSource that is left open would ask for ever; where asking again may help, it may.
        end = None if error.retry else progress.REFUSED
        yield progress.encode(progress.failed(str(error), status=error.status), end)
    except Exception:
        log.exception("stream broke", extra={"fields": {"provider": provider, "spec": spec}})
        yield progress.encode(progress.failed("Internal error. Please try again.", status=500))


def _story(asked: Asked, world: World) -> Iterator[str]:
    arrival = arrive(asked, world)
    for notice in arrival.notices:
        yield progress.encode(progress.waiting(notice))
    yield from _Telling(arrival.launch, arrival.told, world).events()


class _Telling:
    """Tells one watcher the story of a launch, from the first event it has not been told."""

    def __init__(self, launch: Launch, told: int, world: World) -> None:
        self._launch, self._told, self._world = launch, told, world
        self._number = 0
        self._began = self._kept_alive = self._seen = world.clock.now()

    def events(self) -> Iterator[str]:
        self._advance()
        yield from self._tell_build()
        if self._launch.user:
            yield from self._tell(progress.built(self._launch.image, found=not self._launch.attempt))
            yield from self._tell(progress.launching("Launching server..."))
            # A watcher who left during the build and comes back after it hears the start of the server again.
            self._number = max(self._number, self._told)
        while self._launch.open and not self._too_long():
            yield from self._tell_server()
        yield from self._tell_end()
        if self._launch.attempt and self._launch.phase is Phase.READY and not self._launch.build_only:
            yield from self._linger(LINGER_S)

    def _tell_build(self) -> Iterator[str]:
        attempt = 0
        while not self._launch.user and not self._too_long():
            if self._launch.attempt > attempt:
                attempt = self._launch.attempt
                yield from self._tell_log(attempt)
            elif self._launch.queued_at and self._launch.phase is Phase.WAITING:
                yield from self._queue("This hub is full.")
            elif self._launch.phase is Phase.WAITING:
                yield from self._pause("Waiting for the build to be accepted...")
            else:
                return
            self._advance()

    def _tell_log(self, attempt: int) -> Iterator[str]:
        yield from self._tell(progress.waiting("Waiting for build to start..."))
        first = self._number
        with self._world.feeds.watch(self._launch.image, attempt) as feed:
            while not self._too_long():
                try:
                    news = feed.news(self._number - first, patience_s=KEEPALIVE_S / 3)
                except UpstreamError as error:
                    log.warning("build cannot be read", extra={"fields": {"reason": str(error)}})
                    yield from self._keep_alive(pause_s=1.0)
                    continue
                for line in news.lines:
                    yield from self._tell(progress.log_line(line))
                yield from self._keep_alive()
                if news.over:
                    return
                if news.build is not None and not news.build.backend_id:
                    self._advance()

    def _tell_server(self) -> Iterator[str]:
        if not self._launch.asked_at:
            paused = self._launch.paused_until > self._world.clock.now()
            again = "The server did not start. It is started once more..."
            why = "The hub is busy." if self._launch.user else "This hub is full."
            pause = self._pause(again if self._launch.starts else "Waiting for the hub...")
            yield from pause if paused else self._queue(why)
            self._advance()
            return
        told = False
        try:
            for event in self._world.hub.progress(self._launch.user):
                if event is None:
                    yield from self._keep_alive()
                elif event.message:
                    told = True
                    yield from self._tell(progress.launching(event.message))
        except UpstreamError as error:
            log.warning("hub cannot be followed", extra={"fields": {"reason": str(error)}})
        # The Hub's word that it is ready, or has failed, ends its stream; the record follows at once.
        self._advance()
        if self._launch.phase is Phase.LAUNCHING:
            yield from self._keep_alive(pause_s=0.2 if told else 1.0)

    def _tell_end(self) -> Iterator[str]:
        launch = self._launch
        self._number = progress.END - 1
        if launch.phase is Phase.READY:
            yield from self._tell(progress.ready(launch))
            now = self._world.clock.now()
            self._note(lambda it: launches.collected(it, now=now))
        elif not launch.open:
            yield from self._tell(progress.ended(launch))

    def _note(self, change: Callable[[Launch], Launch | None]) -> None:
        """Write down that the watcher is there. Nobody's launch fails for want of that: the cull can tell as well."""
        try:
            self._world.launches.change(self._launch.id, change)
        except UpstreamError as error:
            log.warning("watcher not written down", extra={"fields": {"reason": str(error)}})

    def _tell(self, event: Event) -> Iterator[str]:
        self._number += 1
        if self._number > self._told:
            self._kept_alive = self._world.clock.now()
            yield progress.encode(event, EventId(self._launch.id, self._number))

    def _remark(self, event: Event) -> str:
        """An event that is no part of the story. Its id is that of what was told before, so that whoever loses the
        connection now comes back to this launch, and keeps its place in a queue."""
        self._kept_alive = self._world.clock.now()
        return progress.encode(event, EventId(self._launch.id, max(self._number, self._told)))

    def _pause(self, message: str) -> Iterator[str]:
        """Let the time pass until the launch may be advanced again; events of a pause are not part of the story."""
        if self._launch.paused_until > self._world.clock.now():
            yield self._remark(progress.waiting(message))
        while (left := self._launch.paused_until - self._world.clock.now()) > 0 and not self._too_long():
            yield from self._keep_alive(pause_s=min(left, 1.0))
        yield from self._keep_alive(pause_s=0.2)

    def _queue(self, why: str) -> Iterator[str]:
        """Let the time pass until this launch's turn, telling where it stands. One look into the store serves all that
        wait at this instance."""
        told = ""
        while not self._too_long() and not (here := turn(self._launch, self._world)).now:
            event = progress.queued(here, why)
            # An estimate differs a little at every look; it is told when people would put it differently.
            if event["message"] != told:
                yield self._remark(event)
            told = event["message"]
            yield from self._keep_alive(pause_s=1.0)
        yield from self._keep_alive(pause_s=0.2)

    def _linger(self, seconds: float) -> Iterator[str]:
        until = self._world.clock.now() + seconds
        while self._world.clock.now() < until:
            yield from self._keep_alive(pause_s=1.0)

    def _keep_alive(self, *, pause_s: float = 0.0) -> Iterator[str]:
        """A comment if nothing was said for a while; it is also how we notice that the watcher has gone."""
        if pause_s:
            self._world.clock.sleep(pause_s)
        now = self._world.clock.now()
        if now - self._seen >= SEEN_EVERY_S:
            self._seen = now
            # Many tabs may watch one launch, and one record takes about a write a second.
            self._note(lambda it: launches.seen(it, now=now, every_s=SEEN_EVERY_S / 2))
        if now - self._kept_alive >= KEEPALIVE_S:
            self._kept_alive = now
            yield progress.KEEPALIVE

    def _advance(self) -> None:
        launch = advance(self._launch.id, self._world)
        if launch is not None:
            self._launch = launch

    def _too_long(self) -> bool:
        return self._world.clock.now() - self._began > LONGEST_STREAM_S


def look_at_build(world: World, image: str, attempt: int, cursor: str) -> Look:
    """One look at a build for all watchers of this instance: its record, its log, and sometimes its real status."""
    build = world.builds.get(image)
    if build is None or build.attempt != attempt:
        return Look(LogChunk(lines=(), cursor=cursor), None)
    if not build.backend_id:
        return Look(LogChunk(lines=(), cursor=cursor), build)
    chunk = world.backend.log(build.backend_id, cursor)
    if build.open and not chunk.lines:
        # A completion message may be late or lost; a silent build is asked about directly.
        build = refresh_build(build, world)
    return Look(chunk, build)
