"""Logs on disk: written in parts, rotated, read with every option."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emulator.kubelet.logs import LONGEST_RECORD_BYTES, LogOptions, LogWriter, read_log

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        self.seconds += 1
        return START + timedelta(seconds=self.seconds)


async def written(path: Path, content: bytes, *, limit_bytes: int = 10**6) -> LogWriter:
    writer = LogWriter(path, limit_bytes=limit_bytes, now=Clock())
    reader = asyncio.StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    await writer.copy("stdout", reader)
    return writer


async def content_of(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def read(tmp_path: Path, content: bytes, options: LogOptions, *, limit_bytes: int = 10**6) -> bytes:
    async def both() -> bytes:
        writer = await written(tmp_path / "0.log", content, limit_bytes=limit_bytes)
        writer.close()
        return await content_of(read_log(tmp_path / "0.log", options))

    return asyncio.run(both())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LogOptions(), b"a\nb\nc"),
        (LogOptions(tail_lines=2), b"b\nc"),
        (LogOptions(tail_lines=0), b""),
        (LogOptions(limit_bytes=3), b"a\nb"),
        (LogOptions(since=START + timedelta(seconds=2)), b"b\nc"),
        (LogOptions(tail_lines=1, timestamps=True), b"2026-01-02T03:04:08.000000000Z c"),
    ],
)
def test_options_cut_the_log(tmp_path: Path, options: LogOptions, expected: bytes) -> None:
    assert read(tmp_path, b"a\nb\nc", options) == expected


def test_a_very_long_line_comes_back_whole(tmp_path: Path) -> None:
    line = b"x" * (3 * LONGEST_RECORD_BYTES + 7) + b"\n"
    assert read(tmp_path, line, LogOptions(tail_lines=1)) == line


def test_a_line_that_looks_like_a_record_is_text(tmp_path: Path) -> None:
    line = b"2026-01-02T03:04:05.000000000Z stdout P x\n\n"
    assert read(tmp_path, line, LogOptions()) == line


def test_a_log_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    content = b"".join(b"line %d\n" % n for n in range(10_000))
    kept = read(tmp_path, content, LogOptions(), limit_bytes=20_000)
    assert kept.endswith(b"line 9999\n")
    assert 0 < len(kept) < 20_000
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 20_100


def test_following_sees_everything_across_rotations(tmp_path: Path) -> None:
    async def follow() -> bytes:
        writer = LogWriter(tmp_path / "0.log", limit_bytes=100_000, now=Clock())
        reader = asyncio.StreamReader()
        copying = asyncio.ensure_future(writer.copy("stdout", reader))
        following = asyncio.ensure_future(content_of(read_log(tmp_path / "0.log", LogOptions(follow=True), writer)))
        for number in range(200):
            reader.feed_data(b"%d " % number + b"x" * 900 + b"\n")
            for _ in range(4):
                await asyncio.sleep(0)
        reader.feed_eof()
        await copying
        writer.close()
        return await asyncio.wait_for(following, 10)

    followed = asyncio.run(follow())
    assert [int(line.split()[0]) for line in followed.splitlines()] == list(range(200))
