"""The news of a build, read once for a crowd that comes and goes."""

from __future__ import annotations

from functions.core.ports import LogChunk
from functions.launching.feeds import MOST_CHARACTERS, MOST_UNWATCHED, Feeds, Look


class Log:
    """A finished build of a few lines; `cursors` are those that were asked for."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines or ("one", "two", "three")
        self.cursors: list[str] = []

    def look(self, image: str, attempt: int, cursor: str) -> Look:
        self.cursors.append(cursor)
        lines = () if cursor else self.lines
        return Look(LogChunk(lines=lines, cursor="end"), None)


def read(feeds: Feeds, image: str = "image") -> list[str]:
    """Everything that one watcher is told."""
    told: list[str] = []
    with feeds.watch(image, 1) as feed:
        while True:
            news = feed.news(len(told), patience_s=1.0)
            told.extend(news.lines)
            if news.over:
                return told


def feeds_of(log: Log) -> Feeds:
    return Feeds(look=log.look, monotonic=lambda: 0.0, look_every_s=0.0)


def test_who_comes_when_everybody_has_left_reads_no_log_again() -> None:
    log = Log()
    feeds = feeds_of(log)
    for _ in range(5):
        assert read(feeds) == ["one", "two", "three"]
    assert log.cursors == ["", "end"]


def test_only_the_last_builds_are_kept_for_who_comes_next() -> None:
    log = Log()
    feeds = feeds_of(log)
    for number in range(MOST_UNWATCHED + 1):
        read(feeds, f"image-{number}")
    asked = len(log.cursors)
    read(feeds, f"image-{MOST_UNWATCHED}")
    assert len(log.cursors) == asked
    read(feeds, "image-0")
    assert len(log.cursors) == asked + 2


def test_a_build_that_is_watched_is_not_dropped() -> None:
    log = Log()
    feeds = feeds_of(log)
    with feeds.watch("watched", 1) as feed:
        feed.news(0, patience_s=1.0)
        for number in range(MOST_UNWATCHED + 1):
            read(feeds, f"image-{number}")
        with feeds.watch("watched", 1) as same:
            assert same is feed


def test_a_build_that_never_stops_talking_fills_no_memory() -> None:
    told = read(feeds_of(Log(*["x" * 64_000] * 1000)))
    assert sum(map(len, told)) <= MOST_CHARACTERS
    assert told[-1] == "The log is too long to be shown further."
