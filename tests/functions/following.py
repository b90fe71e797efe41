"""Following a launch over fakes: what is asked for, and what its watcher is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from functions.core.progress import EventId
from functions.launching.arrival import Asked
from functions.launching.stream import launch_stream
from functions.world import World
from tests.fakes.world import events

SPEC = "owner/plots/main"


def asked(spec: str = SPEC, *, provider: str = "gh", key: str = "", resume: EventId | None = None) -> Asked:
    return Asked(
        provider=provider, spec=spec, host="https://binder.example.org/", client_ip="", resume_key=key, resume=resume
    )


def launch(world: World, wish: Asked | None = None) -> list[dict[str, Any]]:
    """The whole story, to its end."""
    told = []
    for event in follow(world, wish):
        told.append(event)
        if event.get("phase") in ("ready", "failed"):
            break
    return told


def follow(world: World, wish: Asked | None = None) -> Iterator[dict[str, Any]]:
    for chunk in launch_stream(wish or asked(), world):
        yield from events([chunk])


def phases(told: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(event["phase"]) for event in told))


def until(story: Iterator[dict[str, Any]], phase: str) -> dict[str, Any]:
    return next(event for event in story if event["phase"] == phase)
