"""Logs on disk: written in parts, rotated, read with every option."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emulator.kubelet.logfile import LONGEST_RECORD_BYTES, LogFile
from emulator.kubelet.logs import LogOptions, has_log, read_log

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = int(START.timestamp())

    def __call__(self) -> int:
        self.seconds += 1
        return self.seconds * 1_000_000_000


def written(path: Path, content: bytes, *, limit_bytes: int = 10**6) -> None:
    log = LogFile(str(path), limit_bytes=limit_bytes, now_ns=Clock())
    for start in range(0, len(content), 65536):
        log.feed("stdout", content[start : start + 65536])
    log.finish("stdout")
    log.close()


async def content_of(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def read(tmp_path: Path, content: bytes, options: LogOptions, *, limit_bytes: int = 10**6) -> bytes:
    written(tmp_path / "0.log", content, limit_bytes=limit_bytes)
    return asyncio.run(content_of(read_log(tmp_path / "0.log", options)))


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


@pytest.mark.parametrize("at_once", [10, 150], ids=["often", "seldom"])
def test_following_sees_everything_across_rotations(tmp_path: Path, at_once: int) -> None:
    """Also who looks so seldom that the log was rotated twice meanwhile."""

    async def follow() -> bytes:
        log = LogFile(str(tmp_path / "0.log"), limit_bytes=200_000, now_ns=Clock())
        ended, followed = asyncio.Event(), bytearray()

        async def read_on() -> None:
            async for piece in read_log(tmp_path / "0.log", LogOptions(follow=True), ended):
                followed.extend(piece)

        reading = asyncio.ensure_future(read_on())
        for start in range(0, 600, at_once):
            for number in range(start, start + at_once):
                log.feed("stdout", b"%d " % number + b"x" * 900 + b"\n")
            async with asyncio.timeout(10):
                while not reading.done() and b"\n%d " % number not in followed:
                    await asyncio.sleep(0.01)
        log.close()
        ended.set()
        await asyncio.wait_for(reading, 10)
        return bytes(followed)

    assert [int(line.split()[0]) for line in asyncio.run(follow()).splitlines()] == list(range(600))


def test_a_log_that_goes_on_is_appended_to_within_its_limit(tmp_path: Path) -> None:
    for _ in range(3):
        written(tmp_path / "0.log", b"x" * 80 + b"\n", limit_bytes=400)
    assert (tmp_path / "0.log.1").read_bytes().count(b"\n") == 2
    assert (tmp_path / "0.log").read_bytes().count(b"\n") == 1


def test_a_log_is_there_in_the_moment_of_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    assert not has_log(path)
    written(path, b"said\n")
    os.replace(path, tmp_path / "0.log.1")
    assert has_log(path)
    assert asyncio.run(content_of(read_log(path, LogOptions(tail_lines=1)))) == b"said\n"


def test_no_link_leads_the_log_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        written(tmp_path / "0.log", b"x\n")
    assert os.listdir(tmp_path) == ["0.log"]
