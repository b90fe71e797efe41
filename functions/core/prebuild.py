"""What the pushes of a branch have come to: when the next build of it may begin, and what a repository has spent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from functions.core.webhooks import Push


@dataclass(frozen=True, slots=True, kw_only=True)
class Prebuild:
    """The record of a branch or tag that is built when it is pushed, keyed by `key`. Times are seconds since the epoch.

    `newest` is the image that the newest push asks for, empty when its commit is not known yet; `image` the last one
    that was seen to, and `begun_at` when a build last began. While `due`, somebody has yet to see to the newest.
    """

    push: Push
    pushed_at: float
    newest: str = ""
    due: bool = True
    image: str = ""
    begun_at: float = 0.0

    @property
    def key(self) -> str:
        return branch_key(self.push)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """How many builds the pushes of one repository (`gh/owner/name`) have begun on one day, an ISO date in UTC."""

    repository: str
    day: str
    builds: int = 0

    @property
    def key(self) -> str:
        return f"{self.day}/{_short(self.repository)}"


def branch_key(push: Push) -> str:
    """What the record of *push*'s branch is called."""
    return _short(f"{push.provider}/{push.spec}")


def pushed(before: Prebuild, push: Push, image: str, *, now: float) -> Prebuild:
    """The record after *push*, which asks for *image*; empty: it is not known yet which."""
    return replace(before, push=push, pushed_at=now, newest=image, due=True)


def is_turn(prebuild: Prebuild, *, now: float, debounce_s: float) -> bool:
    """Whether a build may begin: not so soon after another one of the branch that it might be the last but one."""
    return now >= prebuild.begun_at + debounce_s


def take_turn(before: Prebuild, *, now: float, debounce_s: float) -> Prebuild | None:
    """The record once a build begins; None when it is not its turn."""
    return replace(before, begun_at=now) if is_turn(before, now=now, debounce_s=debounce_s) else None


def seen_to(before: Prebuild, image: str) -> Prebuild:
    """The record once *image* is built, or being built; still due when a newer push has come meanwhile."""
    return replace(dropped(before, image), image=image)


def dropped(before: Prebuild, image: str) -> Prebuild:
    """The record once it is settled that *image* is not built; still due when a newer push has come meanwhile."""
    return replace(before, due=before.due and before.newest != image)


def spend(before: Spent, *, most: int) -> Spent | None:
    """The record with one more build; None when *most* have begun already."""
    return replace(before, builds=before.builds + 1) if before.builds < most else None


def _short(name: str) -> str:
    # A name may be longer than a key.
    return hashlib.sha256(name.encode()).hexdigest()
