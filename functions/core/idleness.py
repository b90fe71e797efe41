"""Which servers and users have had their time; pure, so that the policy can be read and tested alone."""

from __future__ import annotations

from dataclasses import dataclass

from functions.core.launch import Launch, Phase
from functions.core.ports import HubUser
from functions.core.settings import CullSettings

# A user that was created a moment ago is about to get its server.
NEW_USER_S = 600.0


@dataclass(frozen=True, slots=True)
class Keep:
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    reason: str


def judge_user(user: HubUser, launch: Launch | None, settings: CullSettings, *, now: float) -> Keep | Remove:
    """Whether the Hub user, and its server if it has one, should go. What is not known is kept."""
    if user.admin:
        return Keep("is an administrator")
    if user.server is None:
        return _judge_without_server(user, launch, now)
    if user.server.pending is not None:
        return Keep(f"server is pending {user.server.pending}")
    return _judge_server(user, launch, settings, now)


def _judge_without_server(user: HubUser, launch: Launch | None, now: float) -> Keep | Remove:
    if launch is not None and launch.open:
        return Keep("is being launched")
    if user.created_at is None or now - user.created_at.timestamp() < NEW_USER_S:
        return Keep("is new")
    return Remove("has no server")


def _judge_server(user: HubUser, launch: Launch | None, settings: CullSettings, now: float) -> Keep | Remove:
    server = user.server
    assert server is not None
    started = server.started_at.timestamp() if server.started_at else None
    active = server.last_activity.timestamp() if server.last_activity else started
    if settings.max_age_s and started is not None and now - started > settings.max_age_s:
        return Remove("server is too old")
    if launch is not None and not_collected(launch, settings, now=now):
        return Remove("nobody came for the server")
    if active is None or now - active <= settings.idle_s:
        return Keep("is in use")
    return Remove("server is idle")


def not_collected(launch: Launch, settings: CullSettings, *, now: float) -> bool:
    """Whether the launch has had a server for long that its watcher was never told of."""
    return launch.phase is Phase.READY and not launch.collected_at and now - launch.ready_at > settings.uncollected_s
