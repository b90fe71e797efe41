"""The news of a build, read once for all its watchers on this instance.

There is no thread of its own behind a feed: a serverless instance is frozen between requests. Whichever watcher finds
that a look is due looks for all of them; the others wait for what it brings.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from functions.core.build import Build
from functions.core.ports import LogChunk

LOOK_EVERY_S = 1.0
MOST_LINES = 50_000
MOST_CHARACTERS = 8 * 2**20
# How many feeds that nobody watches just now are kept for who comes next: a crowd comes and goes one by one.
MOST_UNWATCHED = 8


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a build brought: new lines of its log, and its record (None when that attempt is history)."""

    chunk: LogChunk
    build: Build | None


@dataclass(frozen=True, slots=True)
class News:
    """What a watcher has not seen yet. `over` when no line will follow these."""

    lines: tuple[str, ...]
    build: Build | None
    over: bool


class Feed:
    """One attempt of one build, followed by any number of watchers."""

    def __init__(self, look: Callable[[str], Look], monotonic: Callable[[], float], look_every_s: float) -> None:
        self._look, self._monotonic, self._look_every_s = look, monotonic, look_every_s
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._room = MOST_CHARACTERS
        self._cursor = ""
        self._build: Build | None = None
        self._over = False
        self._looking = False
        self._next_look = 0.0

    def news(self, seen: int, *, patience_s: float) -> News:
        """Lines after the first *seen*; waits up to *patience_s* for some. Whoever looks gets the look's errors."""
        deadline = self._monotonic() + patience_s
        while True:
            with self._changed:
                if len(self._lines) > seen or self._over or self._monotonic() >= deadline:
                    return News(tuple(self._lines[seen:]), self._build, self._over)
                due = min(self._next_look, deadline) - self._monotonic()
                if self._looking or due > 0:
                    self._changed.wait(max(0.01, due if not self._looking else deadline - self._monotonic()))
                    continue
                self._looking = True
            self._look_for_all()

    def _look_for_all(self) -> None:
        look: Look | None = None
        try:
            look = self._look(self._cursor)
        finally:
            with self._changed:
                self._looking = False
                self._next_look = self._monotonic() + self._look_every_s
                if look is not None:
                    self._take(look)
                self._changed.notify_all()

    def _take(self, look: Look) -> None:
        for line in look.chunk.lines:
            self._add(line)
        self._cursor, self._build = look.chunk.cursor, look.build
        # The end is told with the lines that came before it: one look without new lines after the build has ended.
        self._over = (look.build is None or not look.build.open) and not look.chunk.lines

    def _add(self, line: str) -> None:
        if self._room <= 0:
            return
        self._room -= len(line)
        if self._room <= 0 or len(self._lines) == MOST_LINES - 1:
            self._room, line = 0, "The log is too long to be shown further."
        self._lines.append(line)


@dataclass(slots=True)
class _Watched:
    feed: Feed
    watchers: int = 0


@dataclass(slots=True)
class Feeds:
    """The feeds of this instance: those that somebody watches, and the last few that nobody does. A cache: losing it
    costs one more reading of a log."""

    look: Callable[[str, int, str], Look]
    monotonic: Callable[[], float]
    look_every_s: float = LOOK_EVERY_S
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # In the order in which they were left.
    _feeds: dict[tuple[str, int], _Watched] = field(default_factory=dict)

    @contextmanager
    def watch(self, image: str, attempt: int) -> Iterator[Feed]:
        """The feed of one attempt to build *image*, shared with everybody who watches it now."""
        key = (image, attempt)
        with self._lock:
            watched = self._feeds.setdefault(key, _Watched(self._feed(image, attempt)))
            watched.watchers += 1
        try:
            yield watched.feed
        finally:
            with self._lock:
                watched.watchers -= 1
                if not watched.watchers:
                    self._feeds[key] = self._feeds.pop(key)
                    self._drop_oldest()

    def _drop_oldest(self) -> None:
        unwatched = [key for key, watched in self._feeds.items() if not watched.watchers]
        for key in unwatched[:-MOST_UNWATCHED]:
            del self._feeds[key]

    def _feed(self, image: str, attempt: int) -> Feed:
        return Feed(lambda cursor: self.look(image, attempt, cursor), self.monotonic, self.look_every_s)
