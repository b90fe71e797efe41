"""What must be true when the chaos is over: a sentence for everything that is not."""

from __future__ import annotations

import itertools
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from emulator.stack.processes import alive
from functions.core.launch import Launch, Phase
from functions.core.next_step import MOST_STARTS, MOST_TROUBLES
from tests.chaos import watching
from tests.chaos.faults import broken
from tests.chaos.journal import Journal
from tests.chaos.people import Story, answered, server_answers
from tests.chaos.watching import Seen, SeenBuild, Watcher
from tests.e2e.stack import Stack

# What repo2docker says of a repository that asks for a version that nobody has made; and what its backend says where
# the log cannot be read just then.
OF_A_BROKEN_REPOSITORY = re.compile(r"numpy==999|repo2docker ended with exit code|step exited with non-zero status")
# What a launch of a good repository may say, and who must have been killed how often while it lasted.
EXCUSES: Sequence[tuple[re.Pattern[str], Collection[str], int]] = (
    (re.compile(r"build was interrupted|lost by the build backend"), ("kubelet", "kube"), MOST_TROUBLES - 1),
    (re.compile(r"Spawn failed|server stopped before"), ("kubelet", "hub", "kube", "proxy"), MOST_STARTS - 1),
    (re.compile(r"took too long to start"), ("kubelet", "hub", "kube", "proxy"), 1),
    # A build clones from the git host, and pushes to the registry; its log cannot always be read.
    (re.compile(r"unable to access|Failed to clone|exit code|non-zero status"), ("cloud",), 1),
    (re.compile(r"The registry \S+ (does not answer|answered 5)"), ("cloud",), 1),
)
CULL_EVERY_S = 5.0
# A proxy that was started again learns its routes at the Hub's next look.
ROUTES_S = 75.0


def in_peace(stack: Stack, done: Callable[[], bool], *, within_s: float) -> bool:
    """Whether *done* came true while nothing happened but the scheduler's rounds."""
    until, next_round = time.monotonic() + within_s, 0.0
    while not done():
        if time.monotonic() > until:
            return False
        if time.monotonic() > next_round:
            answered(stack.cull)
            next_round = time.monotonic() + CULL_EVERY_S
        time.sleep(0.5)
    return True


def wrong_launches(seen: Seen, journal: Journal) -> Iterator[str]:
    """Launches that are not over, or have failed for a reason that is not true."""
    for launch in seen.launches.values():
        if launch.open:
            yield f"launch {launch.id} of {launch.spec} is still {launch.phase}"
        elif launch.phase is Phase.FAILED and not _is_true(launch, seen, journal):
            yield f"launch {launch.id} of {launch.spec} failed, which is not true: {launch.reason!r}"
        elif launch.phase is Phase.READY and _of_a_broken_repository(launch.spec):
            yield f"launch {launch.id} of {launch.spec} is ready, although nobody can build it"


def _of_a_broken_repository(spec: str) -> bool:
    match = re.search(r"repository-(\d+)", spec)
    return bool(match and broken(int(match[1])))


def _is_true(launch: Launch, seen: Seen, journal: Journal) -> bool:
    if _of_a_broken_repository(launch.spec) and OF_A_BROKEN_REPOSITORY.search(launch.reason):
        return True
    return any(
        pattern.search(launch.reason)
        and journal.killed(victims, since=_began(launch, seen), until=launch.ended_at) >= at_least
        for pattern, victims, at_least in EXCUSES
    )


def _began(launch: Launch, seen: Seen) -> float:
    """When the launch began, or the build on whose end it depends: a fresh failure is told to whoever comes."""
    builds = [build.begun_at.timestamp() for build in seen.builds.values() if build.image == launch.image]
    return min(launch.created_at, max((at for at in builds if at <= launch.ended_at), default=launch.created_at))


def wrong_stories(stories: Sequence[Story]) -> Iterator[str]:
    """People who were told nothing in the end, or something that helps nobody."""
    for story in stories:
        told = [*story.refusals, *([story.end.message] if story.end else [])]
        if not story.end and not story.gone:
            yield f"person {story.visit.number} still waits for {story.repo_url}; was refused: {story.refusals[-3:]}"
        yield from (f"person {story.visit.number} was told: {text}" for text in told if "Internal error" in text)


def wrong_servers(stories: Sequence[Story], stack: Stack) -> list[str]:
    """Servers that were promised, were not stopped by their person, and do not answer."""
    promised = [it for it in stories if it.end and it.end.phase == "ready" and not it.stopped]
    waiting = {it.visit.number: it for it in promised}

    def all_answer() -> bool:
        for number, story in [*waiting.items()]:
            if answered(partial(server_answers, story.end)):
                del waiting[number]
        return not waiting

    in_peace(stack, all_answer, within_s=ROUTES_S)
    return [f"the server of person {it.visit.number} does not answer: {it.end}" for it in waiting.values()]


def wrong_builds(seen: Seen) -> Iterator[str]:
    """Images that were built more than once, two at once, or are in use and were never built."""
    builds: Mapping[str, list[SeenBuild]] = defaultdict(list)
    for build in seen.builds.values():
        builds[build.image].append(build)
    for name in seen.twins:
        yield f"there were two of {name} at once"
    for image, ours in builds.items():
        yield from _wrong_builds_of(image, sorted(ours, key=lambda build: build.begun_at))
    built = {build.image for build in seen.builds.values() if build.succeeded}
    for launch in seen.launches.values():
        if launch.phase is Phase.READY and launch.image not in built:
            yield f"{launch.image} is in use, and no build of it has ended well"


def _wrong_builds_of(image: str, builds: Sequence[SeenBuild]) -> Iterator[str]:
    good = sum(build.succeeded for build in builds)
    if good > 1:
        yield f"{image} was built {good} times"
    for before, after in itertools.pairwise(build for build in builds if not build.withdrawn):
        if before.ended_at is None or before.ended_at > after.begun_at:
            yield f"{image} was being built twice at {after.begun_at}"


def wrong_users(stack: Stack, seen: Seen) -> Iterator[str]:
    """Users of the Hub that are of no launch, or of two."""
    owners = [launch.user for launch in seen.launches.values() if launch.user]
    for user in stack.hub("GET", "/users"):
        if owners.count(user["name"]) != 1:
            yield f"{user['name']} is the user of {owners.count(user['name'])} launches"


def stop_everything(stack: Stack) -> None:
    """As everybody who goes home stops their server."""
    for user in stack.hub("GET", "/users"):
        if user.get("server") or user.get("servers"):
            answered(partial(stack.hub, "DELETE", f"/users/{user['name']}/server"))


def leftovers(stack: Stack, watcher: Watcher) -> list[str]:
    """What somebody would have to clean up by hand: users, pods, builds that run, open records, processes."""
    watcher.look()
    return [
        *(f"user {user['name']}" for user in stack.hub("GET", "/users")),
        *(f"pod {pod['metadata']['name']}" for pod in stack.pods()),
        *(f"the build {name} goes on" for name, build in watching.builds(stack).items() if not build.ended_at),
        *(f"pod {it['metadata']['name']} runs" for it in watching.build_pods(stack) if watching.runs(it)),
        *watcher.seen.open_records,
        *(f"process {each.pid} of the kubelet" for each in watching.under("kubelet", stack.state)),
    ]


def survivors(seen: Seen) -> list[str]:
    """Processes of a stack that has ended."""
    return [f"process {each.pid} is left" for each in seen.processes if alive(each)]
