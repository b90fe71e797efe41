"""Container logs on disk, in the format of Kubernetes' container runtimes, of bounded size.

A record is `<time> <stream> <F or P> <text>` and a newline; F ends a line, P does not.
https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

LONGEST_RECORD_BYTES = 16 * 1024
CHUNK_RECORDS = 500
OLDER = ".1"


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


class LogWriter:
    """Appends what a container says. When the file reaches half the limit it makes room: the older half is kept
    beside it, the half before that is lost."""

    def __init__(self, path: Path, *, limit_bytes: int, now: Callable[[], datetime]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.closed = False
        self.last_line = b""
        self._half_bytes = limit_bytes // 2
        self._now = now
        self._file = path.open("ab")
        self._changed = asyncio.Event()

    async def copy(self, stream: str, reader: asyncio.StreamReader) -> None:
        """Write everything *reader* gives, line by line; very long lines and a last one without end in parts."""
        rest = b""
        while chunk := await reader.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.write(stream, line)
            while len(rest) > LONGEST_RECORD_BYTES:
                self._append(stream, rest[:LONGEST_RECORD_BYTES], ends_line=False)
                rest = rest[LONGEST_RECORD_BYTES:]
            self._flush()
        if rest:
            self._append(stream, rest, ends_line=False)
            self._flush()

    def write(self, stream: str, line: bytes) -> None:
        """Append one whole line, given without its newline."""
        while len(line) > LONGEST_RECORD_BYTES:
            self._append(stream, line[:LONGEST_RECORD_BYTES], ends_line=False)
            line = line[LONGEST_RECORD_BYTES:]
        self._append(stream, line, ends_line=True)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._file.close()
            self._changed.set()

    @property
    def changed(self) -> asyncio.Event:
        """Is set when something is written, or nothing will be any more."""
        return self._changed

    def _append(self, stream: str, text: bytes, *, ends_line: bool) -> None:
        self.last_line = text
        kind = b"F" if ends_line else b"P"
        self._file.write(b" ".join((_nanoseconds(self._now()), stream.encode(), kind, text)) + b"\n")
        if self._file.tell() >= self._half_bytes:
            self._rotate()

    def _flush(self) -> None:
        self._file.flush()
        self._changed.set()
        self._changed = asyncio.Event()

    def _rotate(self) -> None:
        self._file.close()
        self.path.replace(self.path.with_name(self.path.name + OLDER))
        self._file = self.path.open("ab")


async def read_log(path: Path, options: LogOptions, writer: LogWriter | None = None) -> AsyncIterator[bytes]:
    """Yield what the container said, in pieces; with `follow`, until *writer* has nothing more to come."""
    left = options.limit_bytes
    async for piece in _pieces(path, options, writer):
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        yield piece
        if left == 0:
            return


async def _pieces(path: Path, options: LogOptions, writer: LogWriter | None) -> AsyncIterator[bytes]:
    with _Tail(path) as tail:
        records = [*_whole(path.with_name(path.name + OLDER)), *tail.records()]
        async for piece in _shown(records, options, tail_lines=options.tail_lines):
            yield piece
        if options.follow and writer is not None:
            async for piece in _followed(tail, options, writer):
                yield piece


async def _followed(tail: _Tail, options: LogOptions, writer: LogWriter) -> AsyncIterator[bytes]:
    while True:
        # Both before reading: what is written while we read is not missed.
        closed, changed = writer.closed, writer.changed
        async for piece in _shown(tail.records(), options):
            yield piece
        if closed:
            return
        await changed.wait()


async def _shown(
    records: Iterable[Record], options: LogOptions, *, tail_lines: int | None = None
) -> AsyncIterator[bytes]:
    records = _since(options.since, records)
    if tail_lines is not None:
        records = _last_lines(records, tail_lines)
    for piece in _joined(records, timestamps=options.timestamps):
        yield piece
        await asyncio.sleep(0)


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
        found = self._complete()
        while self._rotated():
            if self._file:
                self._file.close()
            self._file = _open(self._path)
            found += self._complete()
        return found

    def _complete(self) -> list[Record]:
        if self._file is None:
            return []
        start = self._file.tell()
        whole, newline, _ = self._file.read().rpartition(b"\n")
        self._file.seek(start + len(whole) + len(newline))
        return [_parse(line) for line in whole.split(b"\n")] if newline else []

    def _rotated(self) -> bool:
        try:
            there = self._path.stat().st_ino
        except FileNotFoundError:
            return False
        return self._file is None or os.fstat(self._file.fileno()).st_ino != there


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _whole(path: Path) -> list[Record]:
    with _Tail(path) as tail:
        return tail.records()


def _parse(line: bytes) -> Record:
    time, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    kind, _, text = rest.partition(b" ")
    return Record(time, text, ends_line=kind == b"F")


def _since(since: datetime | None, records: Iterable[Record]) -> Iterator[Record]:
    # Times of this format sort as text.
    earliest = b"" if since is None else _nanoseconds(since)
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


def _nanoseconds(moment: datetime) -> bytes:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
