"""Spans of time as `kubectl` writes them: `5s`, `3m12s`, `2d`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from emulator.kube.objects import Object, metadata, moment_of

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 86400 * 365


def span(seconds: float) -> str:
    """Write a duration with one unit, or two where the first is small."""
    if seconds < -1:
        return "<invalid>"
    total = max(int(seconds), 0)
    if total < 2 * MINUTE:
        return f"{total}s"
    if total < 3 * HOUR:
        return _two(total, MINUTE, "m", 10, 1, "s")
    if total < 8 * DAY:
        return _two(total, HOUR, "h", 8, MINUTE, "m") if total < 2 * DAY else _two(total, DAY, "d", 8, HOUR, "h")
    return f"{total // DAY}d" if total < 2 * YEAR else _two(total, YEAR, "y", 8, DAY, "d")


def _two(total: int, unit: int, name: str, small: int, lesser: int, lesser_name: str) -> str:
    whole, rest = divmod(total, unit)
    rest //= lesser
    return f"{whole}{name}{rest}{lesser_name}" if whole < small and rest else f"{whole}{name}"


def since(text: Any, now: datetime) -> str:
    """Write how long ago a timestamp was."""
    moment = moment_of(text)
    return span((now - moment).total_seconds()) if moment else "<unknown>"


def age(obj: Object, now: datetime) -> str:
    return since(metadata(obj).get("creationTimestamp"), now)
