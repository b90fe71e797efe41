"""People who come to a hub that has not room for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from functions import admin
from functions.core.errors import RateLimited
from functions.core.launch import Launch, Phase
from functions.launching.advance import advance
from functions.launching.arrival import arrive
from functions.world import World
from tests.fakes.world import Fakes
from tests.functions.following import SPEC, asked

STOPPED = partial(replace, phase=Phase.STOPPED)
PEOPLE = tuple(f"192.0.2.{n}" for n in range(1, 60))


def command(fakes: Fakes, text: str) -> None:
    admin.run(text.split(), fakes.world().limits, say=lambda _: None, who="operator")


def come(world: World, who: str, spec: str = SPEC) -> Launch:
    """Somebody clicks and has the first steps taken, as the stream does it."""
    begun = arrive(replace(asked(spec), client_ip=who), world).launch
    return advance(begun.id, world) or begun


def waits(told: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return next(event for event in told if "queue" in event)


class BusyHub:
    """A hub that has *limit* starts pending at most, as JupyterHub's concurrent_spawn_limit."""

    def __init__(self, fakes: Fakes, limit: int, retry_after_s: float) -> None:
        self.fakes, self.limit, self.retry_after_s = fakes, limit, retry_after_s
        self.pending: list[str] = []
        self.refusals = 0
        self._start = fakes.hub.start_server
        fakes.hub.start_server = self.start_server  # type: ignore[method-assign]

    def start_server(self, user: str, options: Any) -> None:
        if len(self.pending) >= self.limit:
            self.refusals += 1
            raise RateLimited("JupyterHub", retry_after_s=self.retry_after_s)
        self._start(user, options)
        self.pending.append(user)

    def finish(self, count: int) -> None:
        for user in self.pending[:count]:
            self.fakes.hub.make_ready(user)
        del self.pending[:count]
