"""How often one sender may ask for something new, counted by all instances together. Pure.

As BinderHub counts: a window begins with a sender's first request and lasts a period, in which *limit* requests pass.
An instance takes of a window for several requests at once when they come fast, so that what all instances share is
written about once a second: twice as many as whoever took last less than a second ago, half as many after a longer
pause, and never more than an eighth of what is left, so that little is lost with an instance that nobody asks any more.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from math import ceil, floor

# Of Firestore: a document takes about a write a second.
QUIET_S = 1.0
LARGEST_SHARE = 8


@dataclass(frozen=True, slots=True)
class Rate:
    """*limit* requests in *period_s* seconds; a limit of 0: any number."""

    limit: int
    period_s: int


@dataclass(frozen=True, slots=True)
class Window:
    """When it began, in whole seconds since the epoch, and for how many requests all instances have taken of it; the
    last of them for *size*, at *taken_at*."""

    began_at: int
    taken: int
    size: int = 0
    taken_at: float = 0.0

    def left(self, rate: Rate) -> int:
        """How many more requests may be taken."""
        return max(0, rate.limit - self.taken)

    def over(self, rate: Rate, *, now: float) -> bool:
        """Whether the next request begins a window. One from the future is of a clock that was wrong."""
        return abs(now - self.began_at) >= rate.period_s


@dataclass(frozen=True, slots=True)
class Share:
    """What an instance knows of a window, and for how many requests to come it has taken of it."""

    window: Window
    unused: int = 0

    def usable(self, rate: Rate) -> bool:
        """Whether a request can be let through by it. The limit may have become lower since it was taken."""
        return self.unused > 0 and self.window.taken - self.unused < rate.limit

    def spent(self, rate: Rate) -> bool:
        """Whether no instance can have anything left to take."""
        return not self.usable(rate) and not self.window.left(rate)

    def used(self) -> Share:
        """The share after one more request."""
        return replace(self, unused=self.unused - 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a sender stands: *remaining* of *limit* requests until *resets_at*, whole seconds since the epoch."""

    limit: int
    remaining: int
    resets_at: int


def take(window: Window | None, rate: Rate, *, now: float) -> Share:
    """The share of whoever takes of *window*, or begins one; of a full one it is nothing, and nothing is changed."""
    current = Window(floor(now), 0) if window is None or window.over(rate, now=now) else window
    left = current.left(rate)
    if not left:
        return Share(current)
    wish = 2 * current.size if now - current.taken_at < QUIET_S else current.size // 2
    size = max(1, min(wish, left // LARGEST_SHARE))
    return Share(replace(current, taken=current.taken + size, size=size, taken_at=now), unused=size)


def standing(share: Share, rate: Rate) -> Standing:
    """Where the sender stands, as far as the instance with *share* knows."""
    remaining = min(rate.limit, share.window.left(rate) + share.unused)
    return Standing(rate.limit, remaining, share.window.began_at + rate.period_s)


def retry_after_s(share: Share, rate: Rate, *, now: float) -> int:
    """After how many whole seconds a request passes again."""
    return max(1, ceil(share.window.began_at + rate.period_s - now))


def record_key(secret: str, who: str) -> str:
    """Under which key a sender is counted: hexadecimal, and no address to anyone who reads the store."""
    return hmac.new(secret.encode(), f"rate {who}".encode(), hashlib.sha256).hexdigest()
