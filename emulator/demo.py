"""`python -m emulator demo`: launches the examples on the running stack, through the public API, as anyone could."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from emulator.examples import make_repository
from emulator.kernels import execute
from emulator.public_api import Event, launch, launch_url
from emulator.pushing import PushedRepository
from emulator.stack.commands import say
from emulator.stack.documents import git_url
from emulator.stack.installation import ROOT
from emulator.stack.state import StateFolder

EXAMPLES = ROOT / "examples"
# The one whose build cannot succeed.
BROKEN = "broken"
CODE = "6*7"
# Which one is pushed, and what a launch says of an image that was there, and of one that is not.
PUSHED = "notebook-only"
FOUND, BUILDING = "built", frozenset({"waiting", "fetching", "building"})
LONGEST_LINE = 90


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a launch ended: its last event, and after how many seconds."""

    name: str
    last: Event | None
    seconds: float
    phases: Sequence[str] = ()

    @property
    def as_expected(self) -> bool:
        return self.last is not None and self.last.phase == ("failed" if self.name == BROKEN else "ready")

    @property
    def link(self) -> str:
        """Where a browser finds the server; empty when there is none."""
        if self.last is None or self.last.phase != "ready":
            return ""
        return f"{self.last.data['url']}?token={self.last.data['token']}"


def run_demo(state: StateFolder) -> int:
    """Launch every example one after the other; the exit code is 0 when each ended as it should."""
    record = state.record() if state.running() else None
    if record is None or not record.ready:
        say("The stack is not running, or not ready yet. Start it with: make up")
        return 1
    folders = sorted(folder for folder in EXAMPLES.iterdir() if folder.is_dir())
    repositories = {folder.name: _publish(folder, state) for folder in folders}
    return asyncio.run(_launch_all(record.url, repositories, state))


def _publish(example: Path, state: StateFolder) -> str:
    """Make a git repository of the example; return the address at which the stack serves it."""
    make_repository(example, state.folder("git") / example.name)
    return git_url(json.loads((state.path / "ports.json").read_text()), f"{example.name}.git")


async def _launch_all(base_url: str, repositories: dict[str, str], state: StateFolder) -> int:
    async with aiohttp.ClientSession() as session:
        outcomes = [await _launch_one(session, base_url, name, url) for name, url in repositories.items()]
        computed = await _compute(session, outcomes)
        prebuilt = await _push_and_launch(session, base_url, state)
    return 0 if computed and prebuilt and all(outcome.as_expected for outcome in outcomes) else 1


async def _push_and_launch(session: aiohttp.ClientSession, base_url: str, state: StateFolder) -> bool:
    """Whether a push is prebuilt, so that the launch after it finds its image and builds nothing."""
    say("\nA push to a repository whose host tells the hub of it:")
    repository = PushedRepository(state)
    if not await repository.prebuilt(session, base_url, push=repository.push(EXAMPLES / PUSHED)):
        say("  NOT prebuilt.")
        return False
    outcome = await _launch_one(session, base_url, "pushed", repository.url)
    found = FOUND in outcome.phases and not BUILDING.intersection(outcome.phases)
    say("  The image was there before anyone clicked." if found else "  NOT as it should be: it was built again.")
    return outcome.as_expected and found


async def _launch_one(session: aiohttp.ClientSession, base_url: str, name: str, repo_url: str) -> Outcome:
    say(f"\n{name}: {repo_url}")
    begun, last, progress = time.monotonic(), None, Progress(live=sys.stdout.isatty())
    phases: list[str] = []
    try:
        async for event in launch(session, launch_url(base_url, repo_url)):
            last = event
            phases.append(event.phase)
            progress.show(event, seconds=time.monotonic() - begun)
    except (aiohttp.ClientError, TimeoutError) as error:
        say(f"  the stream broke: {error!r}")
    outcome = Outcome(name, last, time.monotonic() - begun, phases)
    say(f"  {_verdict(outcome)}")
    return outcome


def _verdict(outcome: Outcome) -> str:
    if not outcome.as_expected:
        return "NOT as it should be."
    return outcome.link or "Its build fails, as it should; the reason is above."


class Progress:
    """A line for each phase; where lines can be written over, the last line of its log in it, *live*."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._phase = ""

    def show(self, event: Event, *, seconds: float) -> None:
        """Show one more event of the launch."""
        line = f"  {seconds:6.1f} s  {event.phase or self._phase:<10} {short(event.message)}"
        is_news = event.phase not in ("", self._phase)
        if self._live and not is_news:
            line = f"\x1b[A\x1b[K{line}"
        if self._live or is_news or event.phase == "launching":
            say(line)
        self._phase = event.phase or self._phase


def short(message: str) -> str:
    """The last line of *message*, without anything that would move the cursor: strangers' builds wrote it."""
    lines = [line for line in message.splitlines() if line.strip()]
    last = "".join(letter for letter in lines[-1] if letter.isprintable()) if lines else ""
    return last if len(last) <= LONGEST_LINE else f"{last[:LONGEST_LINE]} ..."


async def _compute(session: aiohttp.ClientSession, outcomes: list[Outcome]) -> bool:
    """Whether a kernel in the first server that is ready computes."""
    for outcome in outcomes:
        if outcome.last is not None and outcome.link:
            answer = await execute(session, outcome.last.data["url"], outcome.last.data["token"], CODE)
            say(f"\nA kernel in {outcome.name} computes {CODE} = {answer}")
            return answer == "42"
    say("\nNo server is ready, so no kernel could be asked.")
    return False
