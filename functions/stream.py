"""The launch, told once: from a link to a running server, as the events that its watcher sees."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from functions.advance import advance, refresh_build
from functions.core import progress
from functions.core.errors import BinderError, InvalidSpec, RefNotFound, UpstreamError
from functions.core.launch import Launch, Phase
from functions.core.names import image_name
from functions.core.ports import ImageFound, ImageMissing, LogChunk, ResolvedRepo
from functions.core.progress import Event, EventId
from functions.feeds import Look
from functions.world import World

log = logging.getLogger(__name__)

KEEPALIVE_S = 15.0
SEEN_EVERY_S = 20.0
# Cloud Run ends a request after 3600 s; clients take an early end for a failure, so we end only shortly before.
LONGEST_STREAM_S = 55 * 60
# After a build, clients that would come back at once for want of Last-Event-ID are held a while, as BinderHub does.
LINGER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a watcher asks for. `resume_key` is empty without a cookie, `resume` None without Last-Event-ID."""

    provider: str
    spec: str
    host: str
    client_ip: str
    resume_key: str
    resume: EventId | None


def launch_stream(asked: Asked, world: World) -> Iterator[str]:
    """The whole stream on the wire. Whatever goes wrong is one `failed` event, since the answer has begun."""
    yield progress.RETRY
    try:
        yield from _story(asked, world)
    except BinderError as error:
        log.info("refused", extra={"fields": {"provider": asked.provider, "spec": asked.spec, "reason": str(error)}})
        yield progress.encode(progress.failed(str(error), status=error.status))
    except Exception:
        log.exception("stream broke", extra={"fields": {"provider": asked.provider, "spec": asked.spec}})
        yield progress.encode(progress.failed("Internal error. Please try again.", status=500))


def _story(asked: Asked, world: World) -> Iterator[str]:
    launch, told = _resumed(asked, world), asked.resume.number if asked.resume else 0
    if launch is None:
        told = 0
        repo, hint = _resolve(asked, world)
        if hint:
            yield progress.encode(progress.waiting(hint))
        launch = _begin(asked, repo, world)
    elif asked.resume is None or asked.resume.launch_id != launch.id:
        told = 0
    world.launches.change(launch.id, lambda it: replace(it, last_seen_at=world.clock.now()))
    yield from _Telling(launch, told, world).events()


def _resolve(asked: Asked, world: World) -> tuple[ResolvedRepo, str]:
    """The repository at its commit; with a word to the watcher when its old default branch had to be replaced."""
    provider = world.providers.get(asked.provider)
    if provider is None:
        raise InvalidSpec(f"No provider found for prefix {asked.provider[:40]}")
    try:
        return provider.resolve(asked.spec), ""
    except RefNotFound as error:
        # Links made before GitHub renamed its default branch name `master`; BinderHub tries HEAD for them.
        stem, _, ref = asked.spec.rpartition("/")
        if asked.provider != "gh" or ref not in ("master", "main"):
            raise
        hint = f"{error} Trying again with HEAD instead of {ref}. Please update your links."
        return provider.resolve(f"{stem}/HEAD"), hint


def _begin(asked: Asked, repo: ResolvedRepo, world: World) -> Launch:
    """A new launch, or the one that another tab of the same browser has begun in the meantime."""
    now = world.clock.now()
    image = image_name(world.config.registry.image_prefix, repo.slug, repo.sha)
    launch = Launch(
        id=world.new_id(),
        provider=asked.provider,
        spec=asked.spec,
        repo=repo,
        image=image,
        created_at=now,
        last_seen_at=now,
        token=world.new_token(),
        host=asked.host,
        client_ip=asked.client_ip,
        resume_key=asked.resume_key,
        digest=_digest(image, world),
    )
    world.launches.create_if_absent(launch)
    return _claim(launch, world)


def _digest(image: str, world: World) -> str:
    """The image's digest, empty when it must be built. Should the registry be down, our own record decides."""
    try:
        match world.registry.find(image):
            case ImageFound(digest):
                return digest
            case ImageMissing():
                return ""
    except UpstreamError:
        build = world.builds.get(image)
        if build is None or not build.digest:
            raise
        return build.digest


def _claim(launch: Launch, world: World) -> Launch:
    """Remember the launch as this browser's; should it have a live one, that one is used instead."""
    if not launch.resume_key:
        return launch
    memory = {"launch_id": launch.id}
    while world.store.create_if_absent("resume", launch.resume_key, memory) is None:
        known = world.store.get("resume", launch.resume_key)
        if known is None:
            continue
        other = world.launches.get(str(known.data["launch_id"]))
        if other is not None and other.open:
            world.launches.delete(launch.id)
            return other
        if world.store.compare_and_set("resume", launch.resume_key, known.version, memory) is not None:
            break
    return launch


def _resumed(asked: Asked, world: World) -> Launch | None:
    """The launch that this watcher left, if there is one to come back to."""
    if asked.resume is not None:
        launch = world.launches.get(asked.resume.launch_id)
        if launch is not None and (launch.provider, launch.spec) == (asked.provider, asked.spec):
            return _if_alive(launch, world, failures=True)
    known = world.store.get("resume", asked.resume_key) if asked.resume_key else None
    launch = None if known is None else world.launches.get(str(known.data["launch_id"]))
    return None if launch is None else _if_alive(launch, world, failures=False)


def _if_alive(launch: Launch, world: World, *, failures: bool) -> Launch | None:
    # An EventSource that reconnects wants the end of its story, a person who reloads wants another try.
    if launch.open or (failures and launch.phase is Phase.FAILED):
        return launch
    if launch.phase is not Phase.READY:
        return None
    user = world.hub.user(launch.user)
    return launch if user is not None and user.server is not None and user.server.ready else None


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
        while self._launch.phase is Phase.LAUNCHING and not self._too_long():
            yield from self._tell_server()
        yield from self._tell_end()
        if self._launch.attempt and self._launch.phase is Phase.READY:
            yield from self._linger(LINGER_S)

    def _tell_build(self) -> Iterator[str]:
        attempt = 0
        while not self._launch.user and not self._too_long():
            if self._launch.attempt > attempt:
                attempt = self._launch.attempt
                yield from self._tell_log(attempt)
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
            yield from self._pause("The hub is busy; your server is queued...")
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
            self._world.launches.change(launch.id, lambda it: replace(it, collected_at=now, last_seen_at=now))
        elif launch.phase is Phase.FAILED:
            yield from self._tell(progress.failed(launch.reason, status=launch.status))
        elif launch.phase is Phase.STOPPED:
            yield from self._tell(progress.failed("The server has been stopped. Please launch again.", status=410))

    def _tell(self, event: Event) -> Iterator[str]:
        self._number += 1
        if self._number > self._told:
            self._kept_alive = self._world.clock.now()
            yield progress.encode(event, EventId(self._launch.id, self._number))

    def _pause(self, message: str) -> Iterator[str]:
        """Let the time pass until the launch may be advanced again; events of a pause are not part of the story."""
        if self._launch.paused_until > self._world.clock.now():
            yield progress.encode(progress.waiting(message))
        while (left := self._launch.paused_until - self._world.clock.now()) > 0 and not self._too_long():
            yield from self._keep_alive(pause_s=min(left, 1.0))
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
            self._world.launches.change(self._launch.id, lambda it: replace(it, last_seen_at=now))
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
