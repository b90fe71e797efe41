"""The log of Cloud Build as a watcher sees it."""

from __future__ import annotations

import json

import pytest

from functions.adapters.builds.cloud_build_log import Cursor, parse_cursor, read_on

HEAD = b'starting build "1"\n\nFETCHSOURCE\nBUILD\n'


def lines(content: bytes, cursor: Cursor | None = None, *, full: int = 1000) -> list[str]:
    return read_on(content, cursor or Cursor(), full=full)[0]


def test_what_comes_before_the_steps_is_not_shown() -> None:
    assert lines(HEAD) == []
    assert lines(HEAD + b"one\n") == ["one"]


@pytest.mark.parametrize("prefix", ["", "Step #0: ", 'Step #0 - "repo2docker": '], ids=str)
def test_a_line_of_a_step_is_as_the_step_wrote_it(prefix: str) -> None:
    said = json.dumps({"phase": "building", "message": "Step #1: pip\n"})
    assert lines(HEAD + f"{prefix}{said}\n".encode()) == [said]


def test_what_is_said_around_a_step_is_not_shown() -> None:
    content = b'Starting Step #0 - "a"\nStep #0 - "a": x\nFinished Step #0 - "a"\n'
    assert lines(HEAD + content) == ["x"]


def test_the_push_is_a_phase_of_its_own() -> None:
    shown = lines(HEAD + b"one\nPUSH\nPushing r/i:1\nDONE\n")
    assert shown[0] == "one"
    assert [json.loads(line) for line in shown[1:]] == [
        {"phase": "pushing", "message": "Pushing the image.\n"},
        {"phase": "pushing", "message": "Pushing r/i:1\n"},
    ]


def test_half_a_line_is_read_when_it_is_whole() -> None:
    shown, cursor = read_on(HEAD + b"one\ntw", Cursor(), full=1000)
    assert shown == ["one"]
    assert read_on(b"two\n", cursor, full=1000) == (["two"], Cursor(len(HEAD) + 8, "steps"))


def test_a_line_longer_than_a_read_is_shown_in_parts() -> None:
    assert lines(b"x" * 10, Cursor(0, "steps"), full=10) == ["x" * 10]


def test_bytes_that_are_no_text_do_not_end_a_log() -> None:
    assert lines(b"\xff\r\n", Cursor(0, "steps")) == ["\N{REPLACEMENT CHARACTER}"]


def test_wherever_a_read_ends_the_lines_are_the_same() -> None:
    content = HEAD + "Step #0: ü\nStep #0: \nPUSH\nx\nDONE\n".encode()
    for length in range(1, len(content)):
        found: list[str] = []
        cursor = Cursor()
        while cursor.offset < len(content):
            size = length
            before = cursor
            while cursor == before:
                part, cursor = read_on(content[cursor.offset : cursor.offset + size], cursor, full=10_000)
                size += 1
            found += part
        assert found == lines(content)


def test_a_cursor_is_read_as_it_was_written() -> None:
    assert parse_cursor(str(Cursor(12, "push"))) == Cursor(12, "push")
    assert parse_cursor("") == Cursor()


@pytest.mark.parametrize("text", ["x", "-1/steps", "1/nowhere", "1", "1/steps\n", "9" * 20 + "/steps"], ids=repr)
def test_text_that_is_no_cursor_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        parse_cursor(text)
