"""One play: a stack of its own, people who launch, everything that goes wrong, peace, and what is left then."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from emulator.stack.processes import leashed
from emulator.stack.state import StateFolder
from tests.chaos import ends, faults
from tests.chaos.blows import Injector, Scheduler
from tests.chaos.faults import HTTP, TCP, broken
from tests.chaos.journal import Journal
from tests.chaos.lines import HOST, Lines
from tests.chaos.people import Person, Story
from tests.chaos.watching import Seen, Watcher
from tests.e2e.stack import ROOT, Stack
from tests.ports import free_port

UP_S, DOWN_S = 120, 90
PEACE_S, CLEAN_S = 240.0, 120.0
# So that what takes minutes with everybody's settings can be seen in a short play.
SETTINGS = {
    "BINDERLESS_LAUNCHES__TIMEOUT_S": "300",
    "BINDERLESS_LAUNCHES__WATCHER_GONE_S": "20",
    "BINDERLESS_LAUNCHES__KEEP_S": "60",
    "BINDERLESS_CULL__IDLE_S": "3600",
    "BINDERLESS_CULL__UNCOLLECTED_S": "60",
    "BINDERLESS_CULL__ORPHAN_S": "20",
}

# What tells two sentences apart that say the same.
_PORT = re.compile(r":\d+\S*")


@dataclass(slots=True)
class Outcome:
    """What a play has come to. `problems` are sentences; none is what everybody hopes for."""

    seed: int
    journal: Journal
    stories: Sequence[Story] = ()
    problems: list[str] = field(default_factory=list)
    launches: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    builds: Counter[str] = field(default_factory=Counter)
    servers: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def report(self) -> str:
        """All counts, for people."""
        told = Counter((it.end.phase if it.end else "left" if it.gone else "nothing") for it in self.stories)
        services = sorted({service for service, _ in self.journal.faults()})
        lines = [
            f"seed {self.seed}: {len(self.stories)} people, who heard {_counts(told)}; "
            f"{sum(it.broken_off for it in self.stories)} streams broke off, "
            f"{sum(len(it.refusals) for it in self.stories)} refusals",
            *(f"  refused: {times} x {reason}" for reason, times in self._refusals().most_common(8)),
            f"launches: {self.launches.total()}: {_counts(self.launches)}",
            *(f"  failed: {times} x {reason}" for reason, times in self.reasons.most_common()),
            f"builds: {self.builds.total()}: {_counts(self.builds)}; servers: {self.servers}",
            f"kills: {self.journal.kills().total()}: {_counts(self.journal.kills())}",
            f"faults: {self.journal.faults().total()}",
            *(f"  {service}: {_counts(self._faults_of(service))}" for service in services),
            "seconds: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in self.seconds.items()),
            *(f"WRONG: {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)

    def _refusals(self) -> Counter[str]:
        return Counter(_PORT.sub(":...", text)[:160] for it in self.stories for text in it.refusals)

    def _faults_of(self, service: str) -> Counter[str]:
        return Counter({kind: times for (whom, kind), times in self.journal.faults().items() if whom == service})


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counter.items())) or "none"


def play(seed: int, *, launches: int, seconds: float, folder: Path, backend: str = "kubernetes") -> Outcome:
    """Everything that *seed* draws, in *folder*; the stack, and whatever it has started, has ended afterwards."""
    journal = Journal()
    outcome = Outcome(seed, journal)
    clock = _Clock()
    with Lines(lambda service, number: faults.fate(seed, service, number), journal) as lines:
        with running_stack(folder / "state", lines, backend) as stack:
            clock.lap("start")
            watcher = Watcher(stack)
            watcher.start()
            _act(stack, lines, watcher, outcome, clock, launches=launches, seconds=seconds)
            watcher.over.set()
            watcher.join()
        clock.lap("down")
    outcome.problems += ends.survivors(watcher.seen)
    outcome.seconds = clock.laps
    return outcome


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self._last = now - self._last, now


def _act(
    stack: Stack,
    lines: Lines,
    watcher: Watcher,
    outcome: Outcome,
    clock: _Clock,
    *,
    launches: int,
    seconds: float,
) -> None:
    over = threading.Event()
    urls = publish(stack, lines, range(faults.repositories(launches)), "repository")
    # What every environment is made of is downloaded before anything fails.
    stack.ready(publish(stack, lines, range(1), "warm-up")[0])
    clock.lap("warm-up")
    visits = faults.visits(outcome.seed, launches, seconds)
    people = [Person(stack, visit, urls[visit.repository], over) for visit in visits]
    outcome.stories = [person.story for person in people]
    injector = Injector(stack, faults.blows(outcome.seed, seconds, stack.backend), outcome.journal, seed=outcome.seed)
    lines.calm = False
    scheduler = Scheduler(stack)
    for thread in (injector, scheduler, *people):
        thread.start()
    time.sleep(seconds)
    scheduler.over.set()
    injector.join(timeout=15)
    lines.calm = True
    clock.lap("chaos")

    if not ends.in_peace(stack, lambda: not any(person.is_alive() for person in people), within_s=PEACE_S):
        outcome.problems += [f"still there: {person.story}" for person in people if person.is_alive()]
    over.set()
    for person in people:
        person.join(timeout=30)
    clock.lap("peace")
    _judge(stack, watcher, outcome, clock)


def _judge(stack: Stack, watcher: Watcher, outcome: Outcome, clock: _Clock) -> None:
    watcher.look()
    outcome.problems += ends.wrong_stories(outcome.stories)
    outcome.problems += ends.wrong_servers(outcome.stories, stack)
    outcome.problems += ends.wrong_users(stack, watcher.seen)
    clock.lap("servers")
    ends.stop_everything(stack)
    left: list[str] = []

    def clean() -> bool:
        left[:] = ends.leftovers(stack, watcher)
        return not left

    if not ends.in_peace(stack, clean, within_s=CLEAN_S):
        outcome.problems += [f"left over: {each}" for each in left]
    outcome.problems += ends.wrong_launches(watcher.seen, outcome.journal)
    outcome.problems += ends.wrong_builds(watcher.seen)
    clock.lap("clean")
    _count(watcher.seen, outcome)


def _count(seen: Seen, outcome: Outcome) -> None:
    for launch in seen.launches.values():
        outcome.launches[str(launch.phase)] += 1
        if launch.reason:
            outcome.reasons[launch.reason[:160]] += 1
    for build in seen.builds.values():
        outcome.builds["succeeded" if build.succeeded else "failed"] += 1
    outcome.servers = len(seen.pods)


def publish(stack: Stack, lines: Lines, numbers: Iterable[int], name: str) -> Sequence[str]:
    """Small repositories, some of which cannot be built, as the functions find them: through the fault line."""
    port = lines.ports["cloud"]
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            files = {"README.md": f"# {number}\n"}
            if broken(number):
                files["requirements.txt"] = "numpy==999.0\n"
            for file, text in files.items():
                (Path(folder) / file).write_text(text)
            stack.publish(Path(folder), f"{name}-{number}")
    return [f"http://127.0.0.1:{port}/git/{name}-{number}.git" for number in numbers]


@contextmanager
def running_stack(state: Path, lines: Lines, backend: str) -> Iterator[Stack]:
    """A stack whose functions find every service behind a fault line, and that nothing of the shell reaches."""
    port = free_port()
    stack = Stack(state, f"http://{HOST}:{port}", backend)
    detours = [f"{service}={lines.open(service, partial(stack.port, service))}" for service in (*HTTP, *TCP)]
    others = {name: value for name, value in os.environ.items() if not name.startswith("BINDERLESS_")}
    chosen = {"BINDERLESS_STATE": str(state), "BINDERLESS_PORT": str(port)}
    environment = {**others, **SETTINGS, **chosen, "BINDERLESS_DETOURS": ",".join(detours)}
    # Leashed: should this process be killed, its stack ends all the same.
    command = leashed([sys.executable, "-m", "emulator", "up", "--backend", backend], parent=os.getpid())
    with (state.parent / "up.log").open("wb") as said:
        up = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
    try:
        _await_ready(up, StateFolder(state))
        yield stack
    finally:
        up.terminate()
        up.wait(timeout=DOWN_S)


def _await_ready(up: subprocess.Popen[bytes], state: StateFolder) -> None:
    until = time.monotonic() + UP_S
    while not ((record := state.record()) and record.ready):
        assert up.poll() is None and time.monotonic() < until, (state.path.parent / "up.log").read_text()
        time.sleep(0.1)
