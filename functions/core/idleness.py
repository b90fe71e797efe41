"""Which servers, users and pods have had their time; pure, so that the policy can be read and tested alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from functions.core.kernels import KernelUse
from functions.core.launch import Launch
from functions.core.ports import HubServer, HubUser
from functions.core.settings import CullSettings
from functions.core.user_pods import UserPod

# What has its own limit of time, in the Hub or in a build backend, ends by itself first.
MARGIN_S = 120.0
# A server tells the Hub of its own start as an activity.
FIRST_ACTIVITY_S = 60.0


@dataclass(frozen=True, slots=True)
class Keep:
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    """`what` is the kind of thing that goes: "server" (with its user), "user" or "pod"."""

    what: str
    reason: str


IDLE = Remove("server", "is idle")
LOST = Remove("user", "has lost its server")
UNCOLLECTED = Remove("server", "was never collected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a server may be idle, may run and may take to start; 0 for `max_age_s` is as long as it is used.

    `orphan_s` is the least age of a user without a server that goes: a new one is about to get it.
    """

    idle_s: int
    max_age_s: int
    start_s: float
    orphan_s: int


def limits_for(repo: str, settings: CullSettings, *, start_s: float) -> Limits:
    """The limits of servers of *repo* (`<provider>/<spec>`): of patterns that match, the last one decides."""
    limits = {"idle_s": settings.idle_s, "max_age_s": settings.max_age_s}
    for pattern, own in settings.limits.items():
        if repo and any(fnmatchcase(form.lower(), pattern.lower()) for form in (repo, unquote(repo))):
            limits |= own
    return Limits(start_s=start_s, orphan_s=settings.orphan_s, **limits)


def limit_problems(limits: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the setting cull.limits."""
    for pattern, own in limits.items():
        if not isinstance(pattern, str) or not isinstance(own, Mapping) or not own:
            yield f"{pattern}: must be a pattern with limits, such as gh/my-org/*: {{idle_s: 3600}}"
            continue
        for name, value in own.items():
            if name not in ("idle_s", "max_age_s"):
                yield f"{pattern}: no such limit: {name}"
            elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
                yield f"{pattern}: {name} must be a whole number, not {value!r}"


def judge_user(user: HubUser, launch: Launch | None, limits: Limits, *, now: float) -> Keep | Remove:
    """Whether the Hub user, and its server if it has one, should go. What is not known is kept.

    A launch can only be a reason to keep: whoever would be removed without one is judged again with it.
    """
    if user.admin:
        return Keep("is an administrator")
    if user.server is None:
        return _judge_without_server(user, launch, limits, now)
    if user.server.pending is not None:
        return _judge_pending(user, user.server, launch, limits, now)
    return _judge_server(user.server, limits, now)


def judge_idle(
    server: HubServer, use: KernelUse | None, limits: Limits, keep_busy: str, *, now: float
) -> Keep | Remove:
    """Whether a server that is idle to the Hub should go, whose kernels are in *use*; *keep_busy* is the setting.

    One that computes as hard as it can may be too busy to say so: a silent server (None) gets as long again.
    """
    idle_s = _since(server.last_activity or server.started_at, now)
    if use is None:
        return Keep("does not answer") if idle_s is None or idle_s <= 2 * limits.idle_s else IDLE
    if use.busy:
        return Keep("has a kernel that computes")
    if use.connections and keep_busy == "connections":
        return Keep("is connected to")
    return IDLE


def not_collected(launch: Launch, settings: CullSettings, *, now: float) -> bool:
    """Whether the launch has had a server for long that its watcher was never told of."""
    return launch.running and not launch.collected_at and now - launch.ready_at > settings.uncollected_s


def in_use(server: HubServer | None, *, ready_at: float) -> bool:
    """Whether somebody has used the server since it was ready, which is itself an activity, at *ready_at*."""
    return bool(server and server.last_activity and server.last_activity.timestamp() > ready_at + FIRST_ACTIVITY_S)


def judge_pod(pod: UserPod, *, owner_has_server: bool, orphan_s: int, now: float) -> Keep | Remove:
    """Whether the pod of a user's server should go, because the Hub does not know that server (any more).

    A pod is there before the Hub tells of its server, so one that is younger than *orphan_s* stays.
    """
    if pod.ending:
        return Keep("is ending")
    if pod.server_name or not pod.user:
        return Keep("is not of our making")
    if pod.created_at is None or now - pod.created_at.timestamp() < orphan_s:
        return Keep("is new")
    if owner_has_server:
        return Keep("is in use")
    return Remove("pod", "belongs to no server of the Hub")


def _judge_without_server(user: HubUser, launch: Launch | None, limits: Limits, now: float) -> Keep | Remove:
    if launch is not None and launch.open:
        return Keep("is being launched")
    age_s = _since(user.created_at, now)
    if age_s is None or age_s < limits.orphan_s:
        return Keep("is new")
    return Remove("user", "has no server")


def _judge_pending(
    user: HubUser, server: HubServer, launch: Launch | None, limits: Limits, now: float
) -> Keep | Remove:
    if server.pending != "spawn":
        return Keep(f"is pending {server.pending}")
    if launch is not None and launch.open:
        return Keep("is being launched")
    waiting_s = _since(server.started_at or user.created_at, now)
    if waiting_s is None or waiting_s <= limits.start_s + MARGIN_S:
        return Keep("is pending spawn")
    return Remove("server", "is stuck starting")


def _judge_server(server: HubServer, limits: Limits, now: float) -> Keep | Remove:
    age_s = _since(server.started_at, now)
    idle_s = _since(server.last_activity or server.started_at, now)
    if limits.max_age_s and age_s is not None and age_s > limits.max_age_s:
        return Remove("server", "is too old")
    if idle_s is None or idle_s <= limits.idle_s:
        return Keep("is in use")
    return IDLE


def _since(time: datetime | None, now: float) -> float | None:
    return None if time is None else now - time.timestamp()
