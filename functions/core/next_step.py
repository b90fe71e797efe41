"""What brings a launch one step closer to its server: a pure decision, the same for stream, event and cull.

Who takes a place on the hub writes it down first and looks then whether others were before: of two who take the last
place at once, at two instances, one steps back.
"""

from __future__ import annotations

from dataclasses import dataclass

from functions.core.build import Build
from functions.core.launch import Launch, Phase
from functions.core.ports import HubServer

MOST_TROUBLES = 3
# Of a server: its machine, or the Hub, may end while it starts, and nobody can tell that from a broken repository.
MOST_STARTS = 3


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The Hub has not been asked about the server yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a decision rests on besides the records. `server` is None when the Hub knows no such server.

    `has_place` says that there is a place on the hub for this launch, or that it has one; `refusal` why nobody gets
    one; `may_start` that the Hub may be asked for its server.
    """

    now: float
    server: HubServer | NotAsked | None
    watcher_gone_s: float
    timeout_s: float
    has_place: bool = True
    refusal: str = ""
    may_start: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something else happens."""


@dataclass(frozen=True, slots=True)
class JoinBuild:
    """The image is missing: make sure that it is being built, and wait for that build."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The image is there and no place on the hub: remember since when this launch waits for one."""


@dataclass(frozen=True, slots=True)
class NameUser:
    """The image is there: settle which Hub user the server will belong to."""


@dataclass(frozen=True, slots=True)
class StepBack:
    """Others were before us for the last place: wait for another."""


@dataclass(frozen=True, slots=True)
class StartServer:
    """Ask the Hub for the user and the server."""


@dataclass(frozen=True, slots=True)
class StartAgain:
    """The server was lost before it was ready: ask the Hub for it once more, after a pause."""


@dataclass(frozen=True, slots=True)
class AskHub:
    """The next decision needs to know how the server is."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What was asked for is there: the server is running, or the image is built."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The launch is over; an empty reason means that the Hub knows it."""

    reason: str
    status: int = 500


Step = Wait | JoinBuild | Queue | NameUser | StepBack | StartServer | StartAgain | AskHub | Finish | Fail


def next_step(launch: Launch, build: Build | None, facts: Facts) -> Step:
    """What brings this launch one step closer to a running server; the same answer from stream, event and cull."""
    if not launch.open or facts.now < launch.paused_until:
        return Wait()
    if launch.phase is Phase.WAITING:
        return _towards_an_image(launch, build, facts)
    if _too_late(launch, facts):
        return Fail(f"The server of {launch.repo.repo_url} took too long to start.", status=504)
    return _towards_a_server(launch, facts)


def _towards_an_image(launch: Launch, build: Build | None, facts: Facts) -> Step:
    if launch.digest or _built(launch, build):
        return Finish() if launch.build_only else _towards_a_place(launch, facts)
    # Attempt 0 is of an image that was in the registry before anybody built it here.
    if build is None or not launch.attempt or build.attempt != launch.attempt:
        return JoinBuild()
    if build.open:
        return JoinBuild() if not build.backend_id and build.lease_until <= facts.now else Wait()
    if build.our_fault and build.troubles < MOST_TROUBLES:
        return JoinBuild()
    return Fail(build.reason or "The build failed.", status=502 if build.our_fault else 422)


def _towards_a_place(launch: Launch, facts: Facts) -> Step:
    if not watched(launch, facts):
        return Wait()
    if facts.refusal:
        return Fail(facts.refusal, status=429)
    if facts.has_place:
        return NameUser()
    return Wait() if launch.queued_at else Queue()


def _built(launch: Launch, build: Build | None) -> bool:
    # Attempt 0 has looked into the registry and found nothing there, whatever an old record says.
    return build is not None and build.succeeded and 0 < launch.attempt <= build.attempt


def _towards_a_server(launch: Launch, facts: Facts) -> Step:
    if not launch.asked_at:
        if not (facts.may_start and watched(launch, facts)):
            return Wait()
        return StartServer() if facts.has_place else StepBack()
    match facts.server:
        case NotAsked():
            return AskHub()
        case HubServer(ready=True):
            return Finish()
        case None | HubServer(pending=None):
            return StartAgain() if _may_start_again(launch, facts) else Fail("", status=500)
        case _:
            return Wait()


def _may_start_again(launch: Launch, facts: Facts) -> bool:
    return launch.starts < MOST_STARTS and watched(launch, facts)


def _too_late(launch: Launch, facts: Facts) -> bool:
    # In the queue of a Hub that answers nobody is late, but for those who have left it.
    waits = not launch.asked_at and not launch.pauses and watched(launch, facts)
    return not waits and facts.now > (launch.asked_at or launch.named_at) + facts.timeout_s


def watched(launch: Launch, facts: Facts) -> bool:
    """Whether somebody still waits for this launch: nobody's server is not started."""
    return facts.now - launch.last_seen_at <= facts.watcher_gone_s
