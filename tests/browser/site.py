"""The pages on a real server, over fakes: for tests that look at them with a real browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from functions.adapters.providers.git import Git
from functions.adapters.providers.github import GitHub
from functions.application import make_application
from functions.core.ports import BuildRequest, BuildStatus, ResolvedRepo
from functions.world import World
from tests.fakes.hub import FakeHub
from tests.fakes.provider import FakeProvider
from tests.fakes.web import Reply, Web, web_server
from tests.fakes.world import Fakes, RunningClock

SPEC = "owner/plots/main"
DEADLINE_S = 20.0


class Described(FakeProvider):
    """Knows the repositories of a test, and describes itself as the real provider does."""

    def __init__(self, real: GitHub | Git) -> None:
        super().__init__(real.prefix)
        self._real = real

    def display_config(self) -> dict[str, Any]:
        return self._real.display_config()


@dataclass
class Site:
    """A hub to launch from at `url`, and the one repository it knows. `hub` serves what runs on the user servers."""

    url: str
    fakes: Fakes
    git: Described
    hub: Web
    repo: ResolvedRepo
    clock: RunningClock
    streams: list[threading.Event] = field(default_factory=list)

    @property
    def launch_url(self) -> str:
        return f"{self.url}v2/gh/{SPEC}"

    def wait_for_build(self) -> BuildRequest:
        """The build that somebody has begun by now."""
        wait_until(lambda: bool(self.fakes.backend.submitted))
        return self.fakes.backend.submitted[-1]

    def write(self, *lines: str) -> None:
        """Let the build write *lines*."""
        self.fakes.backend.write(self.wait_for_build().name, *lines)

    def fail_build(self, reason: str) -> None:
        self.fakes.backend.finish(self.wait_for_build().name, BuildStatus.FAILURE, reason)

    def finish_build(self, *lines: str) -> None:
        self.wait_for_build()
        self.fakes.finish_build(self.repo, *lines)

    def have_image(self) -> None:
        """Let the image of the repository be there already."""
        self.fakes.registry.put(self.fakes.image(self.repo))

    def drop_streams(self) -> None:
        """Break every connection that follows a launch now, as a killed instance does."""
        for dropped in self.streams:
            dropped.set()
        self.streams.clear()


def wait_until(condition: Any) -> None:
    """Return once *condition* holds; fail when that takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextmanager
def serve_site(*, webhooks: dict[str, Any] | None = None, **web: Any) -> Iterator[Site]:
    """A site of its own for one test, with these settings of the sections `webhooks` and `web`."""
    with web_server() as hub:
        clock = RunningClock()
        # Another host than the pages', which the browser is told to find on this machine.
        fakes = Fakes(clock=clock, hub=FakeHub(f"http://hub.test:{hub.port}"), provider=Described(GitHub()))
        fakes.settings |= {"web": web, "webhooks": webhooks or {}}
        hub.answer = _notebook_server
        git = Described(Git())
        site = Site("", fakes, git, hub, fakes.know(SPEC), clock)
        world = fakes.world()
        with _serve(replace(world, providers={"gh": fakes.provider, "git": git}), site) as port:
            site.url = f"http://127.0.0.1:{port}{world.config.web.base_path}"
            yield site
            clock.stop()
            for build in fakes.backend.submitted:
                fakes.backend.finish(build.name, BuildStatus.CANCELLED)


@contextmanager
def _serve(world: World, site: Site) -> Iterator[int]:
    application = make_application(world)

    def droppable(environ: Any, start_response: Any) -> Any:
        answer = application(environ, start_response)
        if "/build/" not in environ["PATH_INFO"]:
            return answer
        site.streams.append(dropped := threading.Event())
        return _until(dropped, answer)

    server = make_server("127.0.0.1", 0, droppable, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def _until(dropped: threading.Event, answer: Any) -> Iterator[bytes]:
    try:
        for chunk in answer:
            if dropped.is_set():
                return
            yield chunk
    finally:
        answer.close()


def _notebook_server(reply: Reply) -> None:
    page = b"<!doctype html><title>Jupyter</title><link rel=icon href=data:,><h1>A notebook server</h1>"
    reply.send(200, page, {"Content-Type": "text/html"})
