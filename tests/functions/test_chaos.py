"""Many launches while everything fails: a seed decides who comes and goes, what breaks and when, and what time it is.

Instances, people, builds, messages and rounds of the cull take turns over shared fakes; every call of an instance may
be refused, lost after it was done, slow, or the instance's last. Then the faults end, and what is left must be right.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.core.errors import BinderError
from functions.core.launch import Launch, Phase
from functions.core.ports import BuildRequest, BuildStatus
from functions.core.progress import EventId, parse_event_id
from functions.cull import cull
from functions.launching.arrival import Asked
from functions.launching.feeds import Feeds
from functions.launching.stream import launch_stream, look_at_build
from functions.on_build_complete import on_build_complete
from functions.state import records
from functions.world import World
from tests.fakes.builds import FakeBackend
from tests.fakes.chaos import Chaos
from tests.fakes.hub import FakeHub
from tests.fakes.store import Died
from tests.fakes.world import Fakes, events
from tests.functions.requests import push, request

SEEDS = 25
PEOPLE = 25
TURNS = 600
INSTANCES = 3
REASON = "The repository is broken."
# Sentences that are true of what this chaos does.
TRUE_REASONS = (
    *(REASON, "took too long to start", "The server stopped before it was ready", "lost by the build backend"),
    *("did not end in time", "Please try again"),
)


class OneBuildAtATime(FakeBackend):
    """Fails the test when two builds of one image run at once."""

    def submit(self, request: BuildRequest) -> str:
        others = [each for each in self.submitted if each.image == request.image and each.name != request.name]
        for other in others:
            report = self._reports.get(other.name)
            assert report is None or report.status.terminal, f"two builds of {request.image} run at once"
        return super().submit(request)

    def running(self) -> list[str]:
        return [name for name, report in self._reports.items() if not report.status.terminal]


@dataclass
class Person:
    """Somebody who follows a launch, and what they were told last."""

    asked: Asked
    story: Iterator[str] | None = None
    instance: int = 0
    last_id: str = ""
    end: dict[str, Any] | None = None
    gone: bool = False


@dataclass
class Play:
    """One run: everything drawn from *seed*."""

    seed: int
    fakes: Fakes = field(default_factory=lambda: Fakes(backend=OneBuildAtATime()))
    people: list[Person] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    deaths: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.chaos = Chaos(self.dice, self.fakes.clock.sleep)
        self.fakes.hub = FakeHub(now=lambda: datetime.fromtimestamp(self.fakes.clock.time, UTC))
        self.fakes.settings = {"cull": {"idle_s": 600, "max_age_s": 3600}}
        for name in ("cached", "fresh", "other", "broken"):
            self.fakes.know(f"owner/{name}/main", built=name == "cached")
        self.instances = [self._instance() for _ in range(INSTANCES)]

    def act(self) -> None:
        """One turn of somebody or something."""
        turn = self.dice.choices(
            (self._watch, self._arrive, self._leave, self._build, self._serve, self._deliver, self._cull, self._wait),
            weights=(50, 5, 3, 8, 8, 8, 2, 10),
        )[0]
        turn()

    def settle(self) -> None:
        """What happens when nothing fails any more: everybody who is still there hears the end."""
        self.chaos.calm = True
        for _ in range(200):
            for _ in range(40):
                self._watch()
            self._build()
            self._serve()
            self._deliver(everything=True)
            self._cull()
            self.fakes.clock.sleep(30)
            if not self._open() and all(person.end or person.gone for person in self.people):
                return
        raise AssertionError(f"seed {self.seed}: still open: {self._open()}")

    def leave_alone(self) -> None:
        """Some hours in which nobody comes."""
        for _ in range(12):
            self.fakes.clock.sleep(1800)
            self._build()
            self._cull()

    def launches(self) -> list[Launch]:
        known = records.launches(self.fakes.store)
        return [*known.where("open", "no"), *known.where("open", "yes")]

    def _open(self) -> list[str]:
        return [f"{it.id} {it.spec} {it.phase}" for it in self.launches() if it.open]

    def _instance(self) -> World:
        plain, around = self.fakes.world(), self.chaos.around
        store = around("The store", self.fakes.store)
        world: World = replace(
            plain,
            registry=around("The registry", self.fakes.registry),
            backend=around("Kubernetes", self.fakes.backend),
            hub=around("JupyterHub", self.fakes.hub),
            store=store,
            builds=records.builds(store),
            launches=records.launches(store),
            # Every look at this clock takes a second, so that nobody waits in earnest for what no other thread brings.
            feeds=Feeds(lambda *asked: look_at_build(world, *asked), self._ticking, look_every_s=0.0),
        )
        return world

    def _ticking(self) -> float:
        self.fakes.clock.time += 1.0
        return self.fakes.clock.time

    def _any_instance(self) -> int:
        return self.dice.randrange(INSTANCES)

    def _die(self, number: int) -> None:
        """An instance ends, with all its streams."""
        self.deaths += 1
        self.instances[number] = self._instance()
        for person in self.people:
            if person.instance == number:
                person.story = None

    def _arrive(self) -> None:
        if len(self.people) >= PEOPLE:
            return
        name = self.dice.choice(("cached", "fresh", "fresh", "other", "broken"))
        key = self.dice.choice(("", f"key-{len(self.people)}", f"key-{self.dice.randrange(PEOPLE)}-{name}"))
        spec = f"owner/{name}/main"
        asked = Asked(provider="gh", spec=spec, host="https://b/", client_ip="", resume_key=key, resume=None)
        self.people.append(Person(asked))

    def _watch(self) -> None:
        waiting = [person for person in self.people if not person.end and not person.gone]
        if not waiting:
            return
        person = self.dice.choice(waiting)
        if person.story is None:
            person.instance = self._any_instance()
            resume = parse_event_id(person.last_id)
            asked = replace(person.asked, resume=resume if isinstance(resume, EventId) else None)
            person.story = launch_stream(asked, self.instances[person.instance])
        try:
            chunk = next(person.story)
        except StopIteration:
            person.story = None
            return
        except Died:
            self._die(person.instance)
            return
        for event in events([chunk]):
            person.last_id = event.get("id", person.last_id)
            self._hear(person, event)

    def _hear(self, person: Person, event: dict[str, Any]) -> None:
        if event["phase"] == "ready":
            person.end = event
        elif event["phase"] == "failed":
            launched = person.last_id and not person.last_id.startswith("refused")
            # Who was refused because a service was out tries again.
            person.end = event if launched and "id" in event else None
            person.story = None

    def _leave(self) -> None:
        watching = [person for person in self.people if person.story is not None and not person.end]
        if watching:
            person = self.dice.choice(watching)
            person.story = None
            person.gone = self.dice.random() < 0.3

    def _build(self) -> None:
        backend = self.fakes.backend
        assert isinstance(backend, OneBuildAtATime)
        for name in backend.running():
            if not self.chaos.calm and self.dice.random() < 0.5:
                backend.write(name, f"line {self.dice.randrange(1000)}")
                continue
            [wish] = [each for each in backend.submitted if each.name == name]
            self._end_build(backend, wish)

    def _end_build(self, backend: OneBuildAtATime, wish: BuildRequest) -> None:
        if "broken" in wish.image:
            backend.finish(wish.name, BuildStatus.FAILURE, REASON)
        elif not self.chaos.calm and self.dice.random() < 0.15:
            backend.finish(wish.name, BuildStatus.INTERNAL_ERROR, "Evicted. Please try again.", our_fault=True)
        else:
            self.fakes.registry.put(wish.image)
            backend.finish(wish.name)
        self.messages += [wish.name] * self.dice.choice((0, 1, 1, 1, 2))

    def _serve(self) -> None:
        """Servers come up, or end before they do."""
        hub = self.fakes.hub
        for user in hub.users().users:
            if user.server is not None and user.server.pending and (self.chaos.calm or self.dice.random() < 0.5):
                if self.chaos.calm or self.dice.random() < 0.9:
                    hub.make_ready(user.name)
                else:
                    hub.set_server(user.name, None)
                    self.ended.add(user.name)

    def _deliver(self, *, everything: bool = False) -> None:
        self.dice.shuffle(self.messages)
        for _ in range(len(self.messages) if everything else 1):
            if not self.messages:
                return
            name, number = self.messages.pop(), self._any_instance()
            try:
                on_build_complete(request(authorization="Bearer push", body=push(name)), self.instances[number])
            except BinderError:
                self.messages.append(name)
            except Died:
                self.messages.append(name)
                self._die(number)

    def _cull(self) -> None:
        number = self._any_instance()
        try:
            cull(request(authorization="Bearer scheduler"), self.instances[number])
        except Died:
            self._die(number)
        except BinderError:
            # The scheduler comes again.
            assert not self.chaos.calm

    def _wait(self) -> None:
        self.fakes.clock.sleep(self.dice.uniform(0, 20))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_fails_every_launch_ends_and_nothing_is_left(seed: int) -> None:
    play = Play(seed)
    for _ in range(TURNS):
        play.act()
    play.settle()
    launches = play.launches()
    check_ends(play, launches)
    check_builds(play)
    check_servers(play)
    play.leave_alone()
    check_leftovers(play)


def check_ends(play: Play, launches: list[Launch]) -> None:
    """Ready, or failed for a reason that is true; what a person was told is what the record says."""
    for launch in launches:
        assert launch.phase in (Phase.READY, Phase.FAILED, Phase.STOPPED), launch
        if launch.phase is Phase.FAILED:
            assert any(reason in launch.reason for reason in TRUE_REASONS), launch.reason
            assert "broken" in launch.spec or REASON not in launch.reason
    assert all(person.end for person in play.people if not person.gone)


def check_builds(play: Play) -> None:
    """A build of each image that was missing, and another attempt only for one that was not the repository's fault."""
    attempts: dict[str, set[str]] = defaultdict(set)
    for wish in play.fakes.backend.submitted:
        attempts[wish.image].add(wish.name)
    for image, names in attempts.items():
        build = records.builds(play.fakes.store).get(image)
        assert build is not None
        assert build.attempt >= len(names)
    assert len([wish for wish in play.fakes.backend.submitted if "cached" in wish.image]) == 0


def check_servers(play: Play) -> None:
    """One server for each launch, whose user has its name: none is started twice, unless the first one has ended before
    anybody heard of its start."""
    started = Counter(user for user, _ in play.fakes.hub.started)
    assert {user for user, times in started.items() if times > 1} <= play.ended


def check_leftovers(play: Play) -> None:
    """Nothing that anybody would have to clean up by hand."""
    assert play.fakes.hub.users().users == []
    kinds = Counter(kind for kind, _ in play.fakes.store.everything())
    assert set(kinds) <= {"build", "cull", "totals", "ref"}, kinds
    backend = play.fakes.backend
    assert isinstance(backend, OneBuildAtATime)
    assert backend.running() == []


def test_chaos_is_chaos() -> None:
    """That faults of every kind are drawn, and instances die, so that the test above means something."""
    drawn: Counter[str] = Counter()
    deaths = 0
    for seed in range(3):
        play = Play(seed)
        for _ in range(TURNS):
            with suppress(AssertionError):
                play.act()
        drawn += play.chaos.counts
        deaths += play.deaths
    assert min(drawn[fault] for fault in ("refused", "lost", "patience", "silent", "slow")) >= 5, drawn
    assert deaths >= 5
