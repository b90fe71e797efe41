"""The runtime's log."""

from __future__ import annotations

import io
import json
import logging

import pytest

from emulator.run.logs import LONGEST_LINE_BYTES, Forward, Lines, Log


def test_an_event_is_one_line_of_json() -> None:
    stream = io.BytesIO()
    Log(stream, lambda: 0).event("re\nquest", status=200)
    [line] = stream.getvalue().splitlines()
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "severity": "INFO",
        "message": "re\nquest",
        "status": 200,
    }


def test_what_an_instance_writes_cannot_move_the_cursor() -> None:
    stream = io.BytesIO()
    Log(stream, lambda: 0).output("build", 7, b"a\tb\r\x1b[2J\xff\xc2\x85")
    assert stream.getvalue().decode() == "[build 7] a\tb\\x0d\\x1b[2J\N{REPLACEMENT CHARACTER}\\x85\n"


def test_lines_are_put_together_from_pieces() -> None:
    lines = Lines()
    assert [list(lines.feed(piece)) for piece in (b"a", b"b\nc", b"\n\n", b"d\r\ne")] == [[], [b"ab"], [b"c"], [b"d"]]
    assert list(lines.end()) == [b"e"]


@pytest.mark.parametrize("pieces", [1, 1000])
def test_a_long_line_is_cut_and_the_next_is_whole(pieces: int) -> None:
    lines = Lines()
    found = [line for _ in range(pieces) for line in lines.feed(b"x" * (200_000 // pieces))]
    found += lines.feed(b"\nnext\n")
    assert [len(found[0]), found[1]] == [LONGEST_LINE_BYTES + len(b" [cut]"), b"next"]


def test_what_a_library_logs_holds_nothing_of_the_request() -> None:
    stream = io.BytesIO()
    logger = logging.Logger("library")
    logger.addHandler(Forward(Log(stream, lambda: 0)))
    try:
        raise ValueError("400, bad header:\n b'Authorization: hush'")
    except ValueError:
        logger.exception("bad request")
    event = json.loads(stream.getvalue())
    assert (event["message"], event["error"], event["detail"]) == ("bad request", "ValueError", "400, bad header:")
