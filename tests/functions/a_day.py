"""A day in the life of one launch: a person, a build, its announcements, the schedule, and whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event
from typing import Any, TypeVar

from flask import Request, Response

from functions import edge
from functions.core.errors import BinderError, RateLimited, UpstreamError
from functions.core.ports import BuildStatus, HubServer, HubUser, Store
from functions.cull import cull
from functions.launching.stream import launch_stream
from functions.on_build_complete import on_build_complete
from functions.world import World
from tests.fakes.cloud_builds import FakeCloudBuilds
from tests.fakes.hub import FakeHub
from tests.fakes.store import Died
from tests.fakes.world import FakeClock, Fakes, events
from tests.functions.following import SPEC, asked
from tests.functions.requests import push, request

T = TypeVar("T")

STEP_S = 5.0
BUILD_BEGINS_S = 10.0
ROUND_EVERY_S = 300.0
REDELIVERED_S = 10.0
# Longer than any lease, pause or backoff of ours.
PATIENCE_S = 1800.0
# A server is used for longer than one is kept that nobody has collected.
USED_S, ACTIVITY_S = 900.0, 60.0
# Longer than a server may be idle and a launch is kept; then a round comes less often.
AFTERWARDS_S, AFTERWARDS_STEP_S = 2 * 3600.0, 1200.0

# What of the service's announcements arrives: number among them and how late, in seconds, in the order of sending.
Plan = Callable[[int, BuildStatus], Sequence[float]]


def as_announced(number: int, status: BuildStatus) -> Sequence[float]:
    """Each once, a moment later."""
    return [1.0]


class DatedHub(FakeHub):
    """A Hub whose users and servers have the times of *clock*. Until `down_until` it answers 503, until `full_until` it
    takes no servers. The next `lost` starts are done and answered 500. `trouble` is how often it did any of that."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.down_until = self.full_until = 0.0
        self.lost = self.trouble = 0
        self._clock = clock

    def create_user(self, name: str) -> None:
        super().create_user(name)
        self.add_user(HubUser(name=name, created_at=self._now(), last_activity=self._now(), server=self._of(name)))

    def start_server(self, user: str, options: Any) -> None:
        if self._clock.time < self.full_until:
            self.trouble += 1
            raise RateLimited("JupyterHub", retry_after_s=7)
        super().start_server(user, options)
        if self.lost:
            self.lost, self.trouble = self.lost - 1, self.trouble + 1
            raise UpstreamError("JupyterHub", "answered 500.")

    def use(self) -> None:
        """Let all servers be used just now."""
        for user in self._users.values():
            if user.server and user.server.ready:
                self.set_server(user.name, replace(user.server, last_activity=self._now()))

    def _server(self, user: str, *, ready: bool) -> HubServer:
        pending = None if ready else "spawn"
        return HubServer(
            ready=ready, pending=pending, url=f"/user/{user}/", started_at=self._now(), last_activity=self._now()
        )

    def _of(self, name: str) -> HubServer | None:
        return self._users[name].server

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time, UTC)

    def _answer(self) -> None:
        if self._clock.time < self.down_until:
            self.trouble += 1
            raise UpstreamError("JupyterHub", "answered 503.")
        super()._answer()


class Frost:
    """Freezes one instance, as a serverless platform may between two instructions, until it thaws."""

    def __init__(self) -> None:
        self.frozen, self.thawed = False, False
        self.work: Future[Any] | None = None
        self._stopped, self._warm = Event(), Event()

    def __call__(self) -> None:
        """Freeze whoever calls."""
        self.frozen = True
        self._stopped.set()
        assert self._warm.wait(60), "nobody thawed it"

    def watch(self, work: Callable[[], T]) -> T | None:
        """The result of *work*; None when it was frozen before its end."""
        if self.frozen:
            return work()
        self._stopped.clear()
        pool = ThreadPoolExecutor(1)
        begun: Future[T] = pool.submit(work)
        self.work = begun
        pool.shutdown(wait=False)
        begun.add_done_callback(lambda _: self._stopped.set())
        self._stopped.wait()
        return None if self.frozen else begun.result()

    def thaw(self) -> None:
        """Let it go on to its end."""
        if self.frozen and not self.thawed and self.work:
            self.thawed = True
            self._warm.set()
            self.work.result(60)


class Day:
    """Over *store*, in which all instances meet. The person comes back *away_s* after every time the stream ends.

    `trouble` is how often something went otherwise than it should. What *frost* freezes thaws *thaws_s* after the
    click.
    """

    def __init__(
        self,
        store: Store,
        *,
        plan: Plan = as_announced,
        away_s: float = STEP_S,
        build_ends_s: float = 20.0,
        frost: Frost | None = None,
        thaws_s: float = 0.0,
    ) -> None:
        self.store, self.plan, self.away_s = store, plan, away_s
        self._frost, self._thaws_s = frost or Frost(), thaws_s
        self._build_ends_s = build_ends_s
        clock = FakeClock()
        self.builds, self.hub = FakeCloudBuilds(), DatedHub(clock)
        self.fakes = Fakes(backend=self.builds, hub=self.hub, clock=clock)
        self.repo = self.fakes.know(SPEC)
        self.begin = clock.time
        self.told: list[dict[str, Any]] = []
        self.trouble = 0
        self._comes_at = self._round_at = self.begin
        self._announced = 0
        self._stopped_in_use: list[str] = []
        # When it is due, and the push.
        self._pushes: list[tuple[float, bytes]] = []

    @property
    def now(self) -> float:
        """Seconds since the day began."""
        return self.fakes.clock.time - self.begin

    def live(self) -> None:
        """From the click to the server, and on until nobody uses it any more."""
        while not self._happy() and self.now < PATIENCE_S:
            self._person()
            self._pass()
        end = self.now + USED_S
        while self._happy() and self.now < end:
            self.hub.use()
            self.fakes.clock.time += ACTIVITY_S
            self._pass()
        self._stopped_in_use = [*self.hub.stopped]
        self.trouble += self.hub.trouble + self.builds.trouble
        end = self.now + AFTERWARDS_S
        while self.now < end:
            self.fakes.clock.time += AFTERWARDS_STEP_S
            self._pass()
        self._frost.thaw()

    def result(self) -> dict[str, Any]:
        """What everybody has of it in the end."""
        return {
            "told": [event["phase"] for event in self.told if event["phase"] in ("ready", "failed")],
            "images": len(self.builds.ids),
            "servers": len(self.hub.started),
            "stopped in use": self._stopped_in_use,
            "left": self._left(),
        }

    def _left(self) -> list[str]:
        users = [user.name for user in self.hub.users().users]
        going_on = [report.backend_id for report in self.builds.list() if not report.status.terminal]
        opened = [it.key for kind in ("build", "launch") for it in self.store.query(kind, "open", "yes")]
        launches = [it.key for it in self.store.query("launch", "open", "no")]
        remembered = [it for it in ("k",) if self.store.get("resume", it)]
        return [*users, *going_on, *opened, *launches, *remembered]

    def _happy(self) -> bool:
        return any(event["phase"] == "ready" for event in self.told)

    def _instance(self) -> World:
        return self.fakes.world(self.store)

    def _pass(self) -> None:
        self.fakes.clock.time += STEP_S
        if self.now >= self._thaws_s:
            self._frost.thaw()
        self._build()
        self._deliver()
        if self.fakes.clock.time >= self._round_at:
            self._round_at = self.fakes.clock.time + ROUND_EVERY_S
            self._call(cull, b"", "Bearer scheduler")

    def _person(self) -> None:
        """Click, or reload the page; go when there is nothing to see but a build that is going on."""
        if self.fakes.clock.time < self._comes_at:
            return
        self._frost.watch(self._read)
        self._comes_at = self.fakes.clock.time + self.away_s

    def _read(self) -> None:
        thawed = self._frost.thawed
        with suppress(Died):
            for chunk in launch_stream(asked(key="k"), self._instance()):
                if self._frost.thawed != thawed:
                    # Its connection is long gone.
                    return
                self.told.extend(events([chunk]))
                if "Waiting for build to start" in chunk and not self._is_built():
                    return

    def _is_built(self) -> bool:
        record = self.store.get("build", self.fakes.image(self.repo))
        known = record is not None and bool(record.data["backend_id"])
        return known and all(report.status.terminal for report in self.builds.list())

    def _build(self) -> None:
        for report in self.builds.list():
            if report.status is BuildStatus.QUEUED and self.now >= BUILD_BEGINS_S:
                self.builds.begin(report.backend_id)
            elif report.status is BuildStatus.WORKING and self.now >= self._build_ends_s:
                self.fakes.registry.put(self.fakes.image(self.repo))
                self.builds.finish(report.backend_id)

    def _deliver(self) -> None:
        for number, (backend_id, status) in enumerate(self.builds.announced[self._announced :], self._announced):
            self.trouble += self.plan(number, status) != as_announced(number, status)
            for late_s in self.plan(number, status):
                self._pushes.append((self.fakes.clock.time + late_s, push(backend_id, status)))
        self._announced = len(self.builds.announced)
        due = sorted(it for it in self._pushes if it[0] <= self.fakes.clock.time)
        self._pushes = [it for it in self._pushes if it[0] > self.fakes.clock.time]
        for _, body in due:
            answered = self._call(on_build_complete, body, "Bearer push")
            if answered != 204:
                assert answered in (500, 503), f"given up with {answered}"
                self._pushes.append((self.fakes.clock.time + REDELIVERED_S, body))

    def _call(self, function: Callable[[Request, World], Response], body: bytes, authorization: str) -> int:
        @edge.as_event
        def handler(request: Request) -> Response:
            return function(request, self._instance())

        def answered() -> int:
            try:
                return handler(request(body=body, authorization=authorization)).status_code
            except Died:
                return 500
            except BinderError as error:
                raise AssertionError("an error got past the edge") from error

        # Who gets no answer in time sends it again.
        return self._frost.watch(answered) or 503
