"""A whole world of fakes. Its clock moves when somebody sleeps, and only then, unless a test takes a running one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from typing import Any

from functions.core import config as configuration
from functions.core.errors import BadSignature
from functions.core.names import image_name
from functions.core.ports import ResolvedRepo, Store
from functions.core.settings import Config
from functions.launching.feeds import Feeds
from functions.launching.refs import Refs
from functions.launching.stream import look_at_build
from functions.state import records
from functions.state.hub_gate import HubGate
from functions.state.limits import KnownLimits
from functions.state.places import KnownPlaces
from functions.state.rates import Rates
from functions.state.retention import image_until
from functions.world import World
from tests.fakes.builds import FakeBackend
from tests.fakes.hub import FakeHub
from tests.fakes.kernels import FakeKernels
from tests.fakes.pods import FakePods
from tests.fakes.provider import FakeProvider
from tests.fakes.registry import FakeRegistry
from tests.fakes.store import FakeStore

PREFIX = "registry.example.org/r2d-"
DOCUMENT: dict[str, Any] = {
    "hub": {"url": "https://hub.example.org/", "api_url": "http://hub:8081/hub/api", "token": "hub-token"},
    "registry": {"url": "https://registry.example.org", "image_prefix": PREFIX},
    "store": {"path": "unused"},
    "launches": {"secret": "s" * 32},
}


@cache
def _loaded(document: str) -> Config:
    return configuration.load(json.loads(document), {})[0]


@dataclass
class FakeClock:
    """`time` is now; sleeping is instant and remembered."""

    time: float = 1_767_268_800.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class RunningClock(FakeClock):
    """The real time and `ahead_s`, until a test is over: then it is so late that every stream ends.

    For tests in which many wait at once: each of them would move a FakeClock on for all the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0
        self._over = threading.Event()

    def now(self) -> float:
        return time.time() + self.ahead_s + (24 * 3600 if self._over.is_set() else 0)

    def sleep(self, seconds: float) -> None:
        self._over.wait(seconds)

    def stop(self) -> None:
        self._over.set()


class Caller:
    """Accepts one Authorization header."""

    def __init__(self, header: str) -> None:
        self.header = header

    def verify(self, authorization: str) -> None:
        if authorization != self.header:
            raise BadSignature("wrong caller")


@dataclass
class Fakes:
    """The fakes of one test, and worlds (instances) that share them."""

    provider: FakeProvider = field(default_factory=FakeProvider)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    backend: FakeBackend = field(default_factory=FakeBackend)
    hub: FakeHub = field(default_factory=FakeHub)
    kernels: FakeKernels = field(default_factory=FakeKernels)
    store: FakeStore = field(default_factory=FakeStore)
    clock: FakeClock = field(default_factory=FakeClock)
    pods: FakePods = field(default_factory=FakePods)
    settings: dict[str, Any] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def world(self, store: Store | None = None) -> World:
        """Another instance over the same services; *store* is what it has instead of the fake one."""
        store = store or self.store
        config = _loaded(json.dumps(DOCUMENT | self.settings))
        clock, gone_s = self.clock.now, config.launches.watcher_gone_s
        limits = KnownLimits(store, clock)
        places = KnownPlaces(records.launches(store), limits.now, clock, now=clock, watcher_gone_s=gone_s)
        world = World(
            config=config,
            providers={"gh": self.provider},
            registry=self.registry,
            backend=self.backend,
            hub=self.hub,
            kernels=self.kernels,
            store=store,
            builds=records.builds(store, image_until=partial(image_until, keep_s=config.cull.image_keep_s)),
            launches=records.launches(store),
            limits=limits,
            places=places,
            gate=HubGate(places, clock, now=clock, sleep=self.clock.sleep),
            rates=Rates(store, self.clock.now, secret=config.launches.secret.reveal()),
            refs=Refs(
                store,
                self.clock.now,
                ttl_s=config.providers.ref_ttl_s,
                keep_s=config.providers.ref_keep_s,
            ),
            feeds=Feeds(
                look=lambda image, attempt, cursor: look_at_build(world, image, attempt, cursor),
                monotonic=time.monotonic,
                look_every_s=0.005,
            ),
            clock=self.clock,
            new_id=lambda: f"{next(self._ids):032x}",
            new_token=lambda: "server-token",
            push_verifier=Caller("Bearer push"),
            scheduler_verifier=Caller("Bearer scheduler"),
            pods=self.pods,
        )
        return world

    def know(self, spec: str, *, built: bool = False) -> ResolvedRepo:
        """Let there be a repository, whose image may be there already."""
        repo = self.provider.know(spec)
        if built:
            self.registry.put(self.image(repo))
        return repo

    def image(self, repo: ResolvedRepo) -> str:
        return image_name(PREFIX, repo.slug, repo.sha)

    def finish_build(self, repo: ResolvedRepo, *lines: str) -> None:
        """Let the running build of *repo* end well, with its image in the registry."""
        name = self.backend.submitted[-1].name
        if lines:
            self.backend.write(name, *lines)
        self.registry.put(self.image(repo))
        self.backend.finish(name)


def events(chunks: Sequence[str]) -> list[dict[str, Any]]:
    """The events among *chunks* of a stream; `id` is added where there is one."""
    found = []
    for chunk in chunks:
        fields = dict(line.split(": ", 1) for line in chunk.strip().splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append(json.loads(fields["data"]) | ({"id": fields["id"]} if "id" in fields else {}))
    return found
