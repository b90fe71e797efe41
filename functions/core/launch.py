"""A launch, from a spec to a running server, as a value; and what brings it one step closer, as a pure decision.

    waiting ──NameUser──▶ launching ──Finish──▶ ready ──(cull)──▶ stopped
       │                    │        (StartServer, StartAgain: still launching)
       └────────Fail────────┴──▶ failed

`functions/launching/advance.py` is the one place that takes these steps; docs/architecture.md draws the same machine.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from functions.core.build import Build
from functions.core.names import user_name
from functions.core.ports import HubServer, ResolvedRepo

LEASE_S = 30.0
MOST_ATTEMPTS = 3
# Of a server: its machine, or the Hub, may end while it starts, and nobody can tell that from a broken repository.
MOST_STARTS = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 30.0


class Phase(StrEnum):
    WAITING = "waiting"
    LAUNCHING = "launching"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The record of a launch, keyed by its unguessable id. Times are seconds since the epoch, 0 when not yet.

    `attempt` is the attempt of the build it waits for; 0 when the image was there already. `user` is stored before
    the Hub first hears of it, so that a repeated start finds its own user. `paused_until` is when the Hub may be
    asked again, after `pauses` refusals; `starts` is how often it has taken the request for a server. `resume_key`
    names the record by which its browser finds it. A `build_only` launch wants the image and no server. `principal`
    and `profile` are reserved: who launched, with which resources.

    For the launch event: whether the request held a `build_token`, what the hub is called there (`origin`), and which
    site the request came from (`request_origin`).
    """

    id: str
    provider: str
    spec: str
    repo: ResolvedRepo
    image: str
    created_at: float
    last_seen_at: float
    token: str
    host: str
    client_ip: str = ""
    resume_key: str = ""
    build_token: bool = False
    origin: str = ""
    request_origin: str = ""
    digest: str = ""
    attempt: int = 0
    phase: Phase = Phase.WAITING
    user: str = ""
    named_at: float = 0.0
    asked_at: float = 0.0
    starts: int = 0
    url: str = ""
    ready_at: float = 0.0
    collected_at: float = 0.0
    ended_at: float = 0.0
    reason: str = ""
    status: int = 0
    build_only: bool = False
    pauses: int = 0
    paused_until: float = 0.0
    lease_holder: str = ""
    lease_until: float = 0.0
    principal: str = ""
    profile: str = ""

    @property
    def open(self) -> bool:
        """Whether there is a step to take, now or later."""
        return self.phase in (Phase.WAITING, Phase.LAUNCHING)

    @property
    def running(self) -> bool:
        """Whether it has a server, as far as we know."""
        return self.phase is Phase.READY and not self.build_only


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The Hub has not been asked about the server yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a decision rests on besides the records. `server` is None when the Hub knows no such server."""

    now: float
    server: HubServer | NotAsked | None
    watcher_gone_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something else happens."""


@dataclass(frozen=True, slots=True)
class JoinBuild:
    """The image is missing: make sure that it is being built, and wait for that build."""


@dataclass(frozen=True, slots=True)
class NameUser:
    """The image is there: settle which Hub user the server will belong to."""


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


Step = Wait | JoinBuild | NameUser | StartServer | StartAgain | AskHub | Finish | Fail


def next_step(launch: Launch, build: Build | None, facts: Facts) -> Step:
    """What brings this launch one step closer to a running server; the same answer from stream, event and cull."""
    if not launch.open or facts.now < launch.paused_until:
        return Wait()
    if launch.phase is Phase.WAITING:
        return _towards_an_image(launch, build, facts)
    if facts.now > (launch.asked_at or launch.named_at) + facts.timeout_s:
        return Fail(f"The server of {launch.repo.repo_url} took too long to start.", status=504)
    return _towards_a_server(launch, facts)


def _towards_an_image(launch: Launch, build: Build | None, facts: Facts) -> Step:
    if launch.digest or _built(launch, build):
        if launch.build_only:
            return Finish()
        return NameUser() if watched(launch, facts) else Wait()
    if build is None or build.attempt != launch.attempt:
        return JoinBuild()
    if build.open:
        return JoinBuild() if not build.backend_id and build.lease_until <= facts.now else Wait()
    if build.our_fault and build.attempt < MOST_ATTEMPTS:
        return JoinBuild()
    return Fail(build.reason or "The build failed.", status=502 if build.our_fault else 422)


def _built(launch: Launch, build: Build | None) -> bool:
    # Attempt 0 has looked into the registry and found nothing there, whatever an old record says.
    return build is not None and build.succeeded and 0 < launch.attempt <= build.attempt


def _towards_a_server(launch: Launch, facts: Facts) -> Step:
    if not launch.asked_at:
        return StartServer()
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
    in_time = facts.now <= launch.named_at + facts.timeout_s
    return launch.starts < MOST_STARTS and in_time and watched(launch, facts)


def watched(launch: Launch, facts: Facts) -> bool:
    """Whether somebody still waits for this launch: nobody's server is not started."""
    return facts.now - launch.last_seen_at <= facts.watcher_gone_s


def seen(launch: Launch, *, now: float, every_s: float) -> Launch | None:
    """The launch that a watcher has just asked about; None when that was written down less than *every_s* ago."""
    return replace(launch, last_seen_at=now) if now - launch.last_seen_at >= every_s else None


def collected(launch: Launch, *, now: float) -> Launch:
    """The launch once somebody has been told where its server is, or uses it."""
    return replace(launch, collected_at=now, last_seen_at=now)


def lease(launch: Launch, holder: str, *, now: float) -> Launch | None:
    """The launch under *holder*'s lease; None while another holds it."""
    if launch.lease_holder and launch.lease_until > now:
        return None
    return replace(launch, lease_holder=holder, lease_until=now + LEASE_S)


def released(launch: Launch) -> Launch:
    """The launch without a lease."""
    return replace(launch, lease_holder="", lease_until=0.0)


def named(launch: Launch, *, digest: str, now: float) -> Launch:
    """The launch once its image is known and its Hub user is settled; always the same user for the same launch."""
    suffix = base64.b32encode(hashlib.sha256(launch.id.encode()).digest())[:12].decode().lower()
    user = user_name(launch.repo.repo_url, suffix)
    return replace(launch, phase=Phase.LAUNCHING, digest=digest, user=user, named_at=now, pauses=0, paused_until=0.0)


def asked(launch: Launch, *, now: float) -> Launch:
    """The launch once the Hub has taken the request for a server."""
    return replace(launch, asked_at=now, starts=launch.starts + 1, pauses=0, paused_until=0.0)


def lost(launch: Launch, *, now: float) -> Launch:
    """The launch whose server was lost before it was ready, until the Hub may be asked again; longer each time."""
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** max(0, launch.starts - 1))
    return replace(launch, asked_at=0.0, paused_until=now + pause)


def paused(launch: Launch, *, now: float, pause_s: float | None = None) -> Launch:
    """The launch after a service has asked for patience, or did not answer; longer each time."""
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**launch.pauses) if pause_s is None else pause_s
    return replace(launch, pauses=launch.pauses + 1, paused_until=now + pause)


def finished(launch: Launch, url: str, *, now: float) -> Launch:
    """The launch once its server runs at *url*; empty when no server was wanted."""
    return replace(launch, phase=Phase.READY, url=url, ready_at=now, ended_at=now)


def failed(launch: Launch, reason: str, *, status: int, now: float) -> Launch:
    """The launch that will get no server."""
    return replace(launch, phase=Phase.FAILED, reason=reason, status=status, ended_at=now)


def stopped(launch: Launch, *, now: float) -> Launch:
    """The launch whose server is gone."""
    return replace(launch, phase=Phase.STOPPED, ended_at=now)


def provenance(launch: Launch) -> dict[str, str]:
    """Where a server comes from, in BinderHub's words: for the person who launches it, and for tools inside it."""
    return {
        "repo_url": launch.repo.repo_url,
        "binder_ref_url": launch.repo.ref_url,
        "binder_launch_host": launch.host,
        "binder_request": f"v2/{launch.provider}/{launch.repo.spec}",
        "binder_persistent_request": f"v2/{launch.provider}/{launch.repo.resolved_spec}",
        "binder_client_ip": launch.client_ip,
    }


def server_options(launch: Launch) -> dict[str, str]:
    """JupyterHub user_options, as BinderHub gives them (binderhub/launcher.py), with the image by digest."""
    repository, _, _ = launch.image.rpartition(":")
    return {"image": f"{repository}@{launch.digest}", "token": launch.token, **provenance(launch)}
