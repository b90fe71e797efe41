"""A launch, from a spec to a running server, as a value, and what changes it. Pure.

    waiting ──NameUser──▶ launching ──Finish──▶ ready ──(cull)──▶ stopped
       │  ◀──StepBack──      │
       └─────────Fail────────┴──▶ failed

`functions/core/next_step.py` decides which step comes next, and `functions/launching/advance.py` is the one place that
takes it; docs/architecture.md draws the same machine.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from functions.core.names import user_name
from functions.core.ports import ResolvedRepo

LEASE_S = 30.0
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
    the Hub first hears of it, so that a repeated start finds its own user. `queued_at` is since when it has its image
    and waits for a place on the hub. `paused_until` is when a service that did not answer may be asked again, after
    `pauses` of them; `starts` is how often the Hub has taken the request for a server. `resume_key` names the record by
    which its browser finds it. A `build_only` launch wants the image and no server. `principal` and `profile` are
    reserved: who launched, with which resources.

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
    queued_at: float = 0.0
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


def queued(launch: Launch, *, now: float) -> Launch:
    """The launch whose image is there, and which has to wait for a place on the hub."""
    return replace(launch, queued_at=now)


def stepped_back(launch: Launch, *, now: float) -> Launch:
    """The launch that others were before, for the place that it was about to take.

    It waits from now on: places that were counted before know it by the place that it has just given back.
    """
    return replace(launch, phase=Phase.WAITING, user="", named_at=0.0, queued_at=now)


def asked(launch: Launch, *, now: float) -> Launch:
    """The launch once the Hub has taken the request for a server."""
    return replace(launch, asked_at=now, starts=launch.starts + 1, pauses=0, paused_until=0.0)


def lost(launch: Launch, *, now: float) -> Launch:
    """The launch whose server was lost before it was ready, until the Hub may be asked again; longer each time."""
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** max(0, launch.starts - 1))
    return replace(launch, asked_at=0.0, paused_until=now + pause)


def refused(launch: Launch) -> Launch:
    """The launch after the Hub has said that it starts as many servers as it can: it answers, so nothing is wrong."""
    return replace(launch, pauses=0, paused_until=0.0)


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
