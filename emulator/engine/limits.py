"""How long a build may take, and how much disk it may use. Memory is limited by whoever runs the build's pod."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emulator.engine.errors import BuildFailed

SECONDS, DISK = "BINDERLESS_BUILD_SECONDS", "BINDERLESS_BUILD_DISK_GIB"
_DEFAULTS = {SECONDS: "3600", DISK: "10"}
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """*ends_at* is a time of the monotonic clock."""

    seconds: float
    ends_at: float
    disk_bytes: int

    def too_late(self) -> str:
        """Why the build has to end now, or nothing."""
        if time.monotonic() < self.ends_at:
            return ""
        return f"The build was stopped because it took longer than {self.seconds:g} seconds ({SECONDS})."

    def too_large(self, size_bytes: int) -> str:
        """Why a build of this size has to end, or nothing."""
        if size_bytes <= self.disk_bytes:
            return ""
        return (
            f"The build was stopped because its files took more than {self.disk_bytes / _GIB:.2g} GiB ({DISK}): "
            "the environment, the home folder and what was downloaded for them."
        )


def limits_from(environ: Mapping[str, str], *, now: float) -> Limits:
    """The limits of a build that begins *now*, as its environment has them."""
    seconds, gib = (_positive(environ, name) for name in (SECONDS, DISK))
    return Limits(seconds=seconds, ends_at=now + seconds, disk_bytes=int(gib * _GIB))


def _positive(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name) or _DEFAULTS[name]
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise BuildFailed(f"{name} must be a positive number, not {text!r}.")
    return number


def size_of(folder: Path) -> int:
    """The bytes that everything below *folder* takes on disk."""
    return sum(status.st_blocks * 512 for _, status in everything_below(folder))


def everything_below(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every path below *folder* and what it is; no link is followed. What vanishes meanwhile is left out."""
    for parent, folders, names in os.walk(folder):
        for path in (os.path.join(parent, name) for name in (*folders, *names)):
            with suppress(OSError):
                yield path, os.lstat(path)
