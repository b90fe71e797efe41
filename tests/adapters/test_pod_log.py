"""Reading on in a pod's log."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters.builds.pod_log import Cursor, parse_cursor, read_on, split_lines

START = Cursor("pod-1")
ALL = 10**9


def stamped(*entries: tuple[int, str]) -> list[bytes]:
    return [f"2026-01-02T03:04:{second:02}.000000000Z {text}".encode() for second, text in entries]


def test_a_cursor_survives_being_text() -> None:
    cursor = Cursor("pod-1", (1767323045, "000000001"), 3)
    assert parse_cursor(str(cursor)) == cursor
    assert cursor.since == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    "text", ["", "x", "pod/1/1", "../x/1.000000000/1", "pod/1.000000000/1\n", "pod/-1.000000000/1"]
)
def test_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        parse_cursor(text)


def test_what_was_seen_is_dropped() -> None:
    lines = stamped((1, "a"), (1, "b"), (2, "c"))
    _, cursor = read_on(lines[:1], START, max_bytes=ALL)
    assert read_on(lines, cursor, max_bytes=ALL)[0] == ["b", "c"]


def test_equal_lines_of_one_time_are_counted() -> None:
    _, cursor = read_on(stamped((1, "a"), (1, "a")), START, max_bytes=ALL)
    found, after = read_on(stamped((1, "a"), (1, "a"), (1, "a")), cursor, max_bytes=ALL)
    assert (found, after.seen) == (["a"], 3)


def test_a_line_older_than_the_one_before_is_not_lost() -> None:
    lines = stamped((2, "out"), (1, "err"), (3, "out"))
    found, cursor = read_on(lines[:2], START, max_bytes=ALL)
    assert found == ["out", "err"]
    assert read_on(lines, cursor, max_bytes=ALL)[0] == ["out"]


def test_lines_without_a_time_are_no_log() -> None:
    assert read_on([b"unable to retrieve container logs for x", b""], START, max_bytes=ALL) == ([], START)


@pytest.mark.parametrize(
    "stamp",
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.0Z", "2026-01-02T04:04:05.000000000+01:00"],
    ids=["seconds", "short", "offset"],
)
def test_times_are_equal_however_they_are_written(stamp: str) -> None:
    assert read_on([f"{stamp} a".encode()], START, max_bytes=ALL)[1].time == (1767323045, "000000000")


@pytest.mark.parametrize("stamp", ["2026-13-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.Z", "now"])
def test_a_time_that_is_none_is_skipped(stamp: str) -> None:
    assert read_on([f"{stamp} a".encode()], START, max_bytes=ALL)[0] == []


def test_text_may_be_anything() -> None:
    assert read_on([b"2026-01-02T03:04:05Z \xff a  b\r"], START, max_bytes=ALL)[0] == ["\ufffd a  b\r"]


def test_lines_are_put_together_from_pieces() -> None:
    assert list(split_lines([b"a", b"b\nc", b"\n\nd", b""])) == [b"ab", b"c", b"", b"d"]


def test_the_last_line_needs_no_end_unless_it_is_being_written() -> None:
    assert list(split_lines([b"a\nb"])) == [b"a", b"b"]
    assert list(split_lines([b"a\n", b"x" * 17_000])) == [b"a"]


def test_an_endless_line_is_cut_off() -> None:
    lines = list(split_lines([b"x" * 10_000] * 100 + [b"\nnext\n"]))
    assert [len(line) for line in lines] == [64 * 1024, 4]


@settings(deadline=None)
@given(
    seconds=st.lists(st.integers(0, 5), max_size=30).map(sorted),
    max_bytes=st.integers(1, 10),
    known=st.lists(st.integers(0, 30), max_size=5).map(sorted),
)
def test_a_log_is_read_whole_however_it_grows(seconds: list[int], max_bytes: int, known: list[int]) -> None:
    texts = [str(number) for number in range(len(seconds))]
    lines = stamped(*zip(seconds, texts, strict=True))
    read: list[str] = []
    cursor = START
    for length in [*known, *[len(lines)] * (len(lines) + 1)]:
        # Kubernetes gives what is not before the second of the cursor.
        given_lines = [line for line in lines[:length] if line[:19].decode() + "Z" >= cursor.since]
        found, cursor = read_on(given_lines, parse_cursor(str(cursor)), max_bytes=max_bytes)
        read.extend(found)
    assert read == texts
