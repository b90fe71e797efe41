"""The scheduled round: mend what events have missed, stop what nobody uses, forget what is over.

Safe to run twice at once, and at any moment: every part of it may be repeated. What could not be judged is kept.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask import Request, Response

from functions import edge, outcomes
from functions.advance import advance
from functions.building import refresh_build
from functions.core import launch as launches
from functions.core.errors import BinderError
from functions.core.idleness import Keep, Remove, judge_user
from functions.core.launch import Launch, Phase
from functions.core.ports import HubUser
from functions.world import World

log = logging.getLogger(__name__)

BUDGET_S = 240.0


def cull(request: Request, world: World) -> Response:
    """One round; the answer counts what was mended, removed and kept, and why."""
    world.scheduler_verifier.verify(request.headers.get("Authorization", ""))
    round_ = _Round(world)
    round_.mend_builds()
    round_.advance_launches()
    round_.judge_users()
    round_.forget_launches()
    round_.forget_refs()
    round_.fold_outcomes()
    log.info("culled", extra={"fields": dict(round_.counts)})
    return edge.answer({"counts": dict(round_.counts), "trouble": round_.trouble})


@dataclass(slots=True)
class _Round:
    world: World
    counts: Counter[str] = field(default_factory=Counter)
    trouble: list[str] = field(default_factory=list)
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.deadline = self.world.clock.now() + BUDGET_S

    def mend_builds(self) -> None:
        for build in self.world.builds.where("open", "yes"):
            with self._tolerating():
                if not refresh_build(build, self.world).open:
                    self.counts["builds mended"] += 1

    def advance_launches(self) -> None:
        for launch in self.world.launches.where("open", "yes"):
            with self._tolerating():
                after = advance(launch.id, self.world)
                if after is not None and after.phase is not launch.phase:
                    self.counts["launches advanced"] += 1
                elif launch.phase is Phase.WAITING and self._forsaken(launch):
                    self._end(launch)
                    self.counts["launches abandoned"] += 1

    def judge_users(self) -> None:
        with self._tolerating():
            for user in self.world.hub.users():
                self._judge(user)

    def _judge(self, user: HubUser) -> None:
        if self.world.clock.now() > self.deadline:
            self.counts["left to the next round"] += 1
            return
        with self._tolerating():
            found = self.world.launches.where("user", user.name)
            launch = found[0] if found else None
            match judge_user(user, launch, self.world.config.cull, now=self.world.clock.now()):
                case Keep(reason):
                    self.counts[f"kept: {reason}"] += 1
                case Remove(reason):
                    self.world.hub.delete_user(user.name)
                    self.counts[f"removed: {reason}"] += 1
                    if launch is not None:
                        self._end(launch)

    def forget_launches(self) -> None:
        for launch in self.world.launches.where("open", "no"):
            with self._tolerating():
                if self._over(launch):
                    self._forget(launch)

    def forget_refs(self) -> None:
        with self._tolerating():
            if forgotten := self.world.refs.forget():
                self.counts["refs forgotten"] += forgotten

    def fold_outcomes(self) -> None:
        with self._tolerating():
            while self.world.clock.now() <= self.deadline and (folded := outcomes.fold_batch(self.world)):
                self.counts["outcomes folded"] += folded

    def _over(self, launch: Launch) -> bool:
        if self.world.clock.now() - launch.ended_at <= self.world.config.launches.keep_s:
            return False
        return launch.phase is not Phase.READY or not launch.user or self.world.hub.user(launch.user) is None

    def _forget(self, launch: Launch) -> None:
        known = self.world.store.get("resume", launch.resume_key) if launch.resume_key else None
        if known is not None and known.data["launch_id"] == launch.id:
            self.world.store.delete("resume", launch.resume_key)
        self.world.launches.delete(launch.id)
        self.counts["launches forgotten"] += 1

    def _forsaken(self, launch: Launch) -> bool:
        return self.world.clock.now() - launch.last_seen_at > self.world.config.launches.keep_s

    def _end(self, launch: Launch) -> None:
        now = self.world.clock.now()
        self.world.launches.change(launch.id, lambda it: launches.stopped(it, now=now))

    @contextmanager
    def _tolerating(self) -> Iterator[None]:
        """One service's trouble does not keep the round from the rest; it is reported, and tried again next time."""
        try:
            yield
        except BinderError as error:
            self.trouble.append(str(error))
