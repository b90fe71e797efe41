"""Reading on in a pod's log, line by line, where the last reader stopped.

Kubernetes knows no offsets, only "since this second". So a cursor is the pod, the time of the last line that was seen,
and how many lines of that very time; what comes again is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

# 2026-01-02T03:04:05.678901234Z, with fewer digits or an offset in some container runtimes.
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_CURSOR = re.compile(r"([a-z0-9.-]+)/(\d+)\.(\d{9})/(\d+)")
_MAX_LINE = 64 * 1024
_RUNTIMES_PART = 16 * 1024

Time = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Cursor:
    """*seen* lines of *pod* with the time *time* (seconds and nanoseconds), and all before, were read."""

    pod: str
    time: Time = (0, "0" * 9)
    seen: int = 0

    def __str__(self) -> str:
        return f"{self.pod}/{self.time[0]}.{self.time[1]}/{self.seen}"

    @property
    def since(self) -> str:
        """The second to ask Kubernetes for."""
        return datetime.fromtimestamp(self.time[0], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_cursor(text: str) -> Cursor:
    """The cursor that *text* was made of. Raises ValueError for other text."""
    match = _CURSOR.fullmatch(text)
    if not match:
        raise ValueError(f"not a cursor of ours: {text[:100]!r}")
    pod, seconds, nanoseconds, seen = match.groups()
    return Cursor(pod, (int(seconds), nanoseconds), int(seen))


def read_on(lines: Iterable[bytes], cursor: Cursor, *, max_bytes: int) -> tuple[list[str], Cursor]:
    """The lines after *cursor*, about *max_bytes* of them, and the cursor after those."""
    found: list[str] = []
    size = 0
    for time, text in _unseen(_timed(lines), cursor):
        if time > cursor.time:
            cursor = Cursor(cursor.pod, time)
        if time == cursor.time:
            cursor = replace(cursor, seen=cursor.seen + 1)
        found.append(text)
        size += len(text)
        if size >= max_bytes:
            break
    return found, cursor


def _unseen(lines: Iterable[tuple[Time, str]], cursor: Cursor) -> Iterator[tuple[Time, str]]:
    again = 0
    caught_up = False
    for time, text in lines:
        if not caught_up and time == cursor.time and again < cursor.seen:
            again += 1
            continue
        # Standard output and error are stamped apart: once caught up, a line may be older than the one before.
        caught_up = caught_up or time >= cursor.time
        if caught_up:
            yield time, text


def _timed(lines: Iterable[bytes]) -> Iterator[tuple[Time, str]]:
    for line in lines:
        stamp, _, text = line.decode(errors="replace").partition(" ")
        time = _time(stamp)
        # A kubelet that has lost the log says so in a line without a time.
        if time is not None:
            yield time, text


def split_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in *pieces*, those that are too long cut off."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line[:_MAX_LINE] for line in lines)
        rest = rest[:_MAX_LINE]
    # Container runtimes write whole lines, but very long ones in parts: the rest of one may be on its way.
    if rest and len(rest) < _RUNTIMES_PART:
        yield rest


def _time(stamp: str) -> Time | None:
    match = _STAMP.fullmatch(stamp)
    if not match:
        return None
    second, fraction, zone = match.groups()
    try:
        seconds = int(datetime.fromisoformat(second + zone).timestamp())
    except ValueError:
        return None
    return seconds, (fraction or "").ljust(9, "0")
