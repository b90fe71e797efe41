"""Reading container logs from disk, as `logfile` describes them, also while they grow."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from emulator.kubelet.logfile import OLDER, nanoseconds

CHUNK_RECORDS = 500
# Another process writes the log, so that a reader who waits has to look.
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Record:
    time: bytes
    text: bytes
    ends_line: bool

    def shown(self, *, timestamp: bool) -> bytes:
        prefix = self.time + b" " if timestamp else b""
        return prefix + self.text + (b"\n" if self.ends_line else b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Kubernetes' PodLogOptions."""

    follow: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None


async def read_log(path: Path, options: LogOptions, ended: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Yield what the container said, in pieces; with `follow`, until *ended* says that nothing more is to come."""
    left = options.limit_bytes
    async for piece in _pieces(path, options, ended):
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        yield piece
        if left == 0:
            return


async def _pieces(path: Path, options: LogOptions, ended: asyncio.Event | None) -> AsyncIterator[bytes]:
    with _Tail(path) as tail:
        records = [*tail.older(), *tail.records()]
        async for piece in _shown(records, options, tail_lines=options.tail_lines):
            yield piece
        if options.follow and ended is not None:
            async for piece in _followed(tail, options, ended):
                yield piece


async def _followed(tail: _Tail, options: LogOptions, ended: asyncio.Event) -> AsyncIterator[bytes]:
    while True:
        # Before reading: what is written while we read is not missed.
        last = ended.is_set()
        async for piece in _shown(tail.records(), options):
            yield piece
        if last:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _LOOK_S)


async def _shown(
    records: Iterable[Record], options: LogOptions, *, tail_lines: int | None = None
) -> AsyncIterator[bytes]:
    records = _since(options.since, records)
    if tail_lines is not None:
        records = _last_lines(records, tail_lines)
    for piece in _joined(records, timestamps=options.timestamps):
        yield piece
        await asyncio.sleep(0)


def has_log(path: Path) -> bool:
    """Whether there is a log at *path*; while it is rotated, only its older part is there."""
    return path.exists() or path.with_name(path.name + OLDER).exists()


class _Tail:
    """Reads a growing file record by record, also across its rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open(path)

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def records(self) -> list[Record]:
        """What has come since the last look."""
        found = self._complete()
        while self._rotated():
            # The writer is done with the file that we have: this is the last of it.
            found += self._complete()
            found += self.older() if self._file else []
            if self._file:
                self._file.close()
            self._file = _open(self._path)
            found += self._complete()
        return found

    def older(self) -> list[Record]:
        """What the file beside it has; nothing if that is the one that is being read, and was rotated meanwhile."""
        file = _open(self._path.with_name(self._path.name + OLDER))
        if file is None:
            return []
        with file:
            ours = self._file is not None and os.path.sameopenfile(file.fileno(), self._file.fileno())
            return [] if ours else _whole(file)

    def _complete(self) -> list[Record]:
        return [] if self._file is None else _whole(self._file)

    def _rotated(self) -> bool:
        there = _inode(self._path)
        return there is not None and (self._file is None or os.fstat(self._file.fileno()).st_ino != there)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _whole(file: BinaryIO) -> list[Record]:
    """The records from here on; one that is only half there yet stays for the next time."""
    start = file.tell()
    whole, newline, _ = file.read().rpartition(b"\n")
    file.seek(start + len(whole) + len(newline))
    return [_parse(line) for line in whole.split(b"\n")] if newline else []


def _parse(line: bytes) -> Record:
    time, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    kind, _, text = rest.partition(b" ")
    return Record(time, text, ends_line=kind == b"F")


def _since(since: datetime | None, records: Iterable[Record]) -> Iterator[Record]:
    # Times of this format sort as text.
    earliest = b"" if since is None else nanoseconds(int(since.timestamp() * 1_000_000) * 1000)
    return (record for record in records if record.time >= earliest)


def _last_lines(records: Iterable[Record], count: int) -> list[Record]:
    lines: deque[list[Record]] = deque(maxlen=count)
    line: list[Record] = []
    for record in records:
        line.append(record)
        if record.ends_line:
            lines.append(line)
            line = []
    if line:
        lines.append(line)
    return [record for line in lines for record in line]


def _joined(records: Iterable[Record], *, timestamps: bool) -> Iterator[bytes]:
    shown: list[bytes] = []
    begins_line = True
    for record in records:
        shown.append(record.shown(timestamp=timestamps and begins_line))
        begins_line = record.ends_line
        if len(shown) == CHUNK_RECORDS:
            yield b"".join(shown)
            shown = []
    if shown:
        yield b"".join(shown)
