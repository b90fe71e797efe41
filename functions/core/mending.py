"""What becomes of builds and launches that no event has moved on; pure decisions over facts that others gather.

What a launch needs is decided by `functions/core/next_step.py`, as ever; here only whether it is given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from functions.core.build import Build
from functions.core.launch import Launch, Phase
from functions.core.next_step import Step, Wait
from functions.core.ports import BuildReport

# A backend has a limit of its own, and needs a moment to tell that it was reached.
MARGIN_S = 300.0


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The backend has not been asked about the build yet."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing to mend."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """The decision needs to know what the backend says."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Tell the backend of the build; whoever was about to has died. It is the same build if the backend knows it."""


@dataclass(frozen=True, slots=True)
class Record:
    """Write down what the backend says; None is that it does not know the build."""

    report: BuildReport | None
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the build as failed, and cancel it where the backend has it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Take the launch's next step."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """End the launch, which nobody will come back to."""


BuildRepair = Leave | Ask | Submit | Record | GiveUp
LaunchRepair = Leave | Advance | Abandon


def mend_build(build: Build, report: BuildReport | NotAsked | None, *, now: float, timeout_s: float) -> BuildRepair:
    """What an open *build* needs; *report* is what the backend says of it, None when it does not know it."""
    overdue = now > build.created_at + timeout_s + MARGIN_S
    if not build.open:
        return Leave("has ended")
    if not build.backend_id:
        if build.lease_until > now:
            return Leave("is being submitted")
        return GiveUp("was never taken by the backend") if overdue else Submit()
    if isinstance(report, NotAsked):
        return Ask()
    if report is None:
        return Record(None, "is unknown to the backend")
    if report.status.terminal:
        return Record(report, "has ended unheard")
    if overdue:
        return GiveUp("is stuck")
    return Leave("is going on")


def deserted(waiting: Sequence[Launch], *, now: float, limit_s: float) -> bool:
    """Whether all launches in *waiting* for a build have been without a watcher for *limit_s*; 0: that is no matter.

    A build that no launch waits for is not deserted: whoever asked for it, or pushed, does not watch. Nor is one of a
    launch that wants the image alone, or that is just taking a step.
    """
    if not limit_s or not waiting:
        return False
    return all(
        now - max(launch.created_at, launch.last_seen_at) > limit_s
        and not launch.build_only
        and not (launch.lease_holder and launch.lease_until > now)
        for launch in waiting
    )


def mend_launch(launch: Launch, step: Step, *, now: float, keep_s: float) -> LaunchRepair:
    """What an open *launch* needs, whose next step is *step*."""
    if not launch.open:
        return Leave("has ended")
    if launch.lease_holder and launch.lease_until > now:
        return Leave("is in other hands")
    if launch.phase is Phase.WAITING and now - launch.last_seen_at > keep_s:
        return Abandon()
    if not isinstance(step, Wait):
        return Advance()
    return Leave("is paused" if now < launch.paused_until else "waits for its build or its watcher")
