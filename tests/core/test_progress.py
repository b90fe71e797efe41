"""What watchers are told, and what a log can not make us say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core import progress
from functions.core.progress import EventId, parse_event_id


def test_repo2dockers_own_lines_keep_their_phase() -> None:
    line = '{"message": "Cloning", "phase": "fetching"}'
    assert progress.log_line(line) == {"message": "Cloning", "phase": "fetching"}


def test_a_line_that_is_not_json_is_shown_as_it_is() -> None:
    assert progress.log_line("plain text") == {"phase": "unknown", "message": "plain text\n"}


@pytest.mark.parametrize("phase", ["failed", "ready", "launching", "built", 7, None])
def test_a_log_line_cannot_end_or_hurry_a_launch(phase: object) -> None:
    line = json.dumps({"message": "look", "phase": phase, "url": "https://evil.example", "token": "t"})
    assert progress.log_line(line) == {"message": "look", "phase": "building"}


def test_a_line_of_brackets_breaks_nobodys_stream() -> None:
    assert progress.log_line("[" * 100_000)["phase"] == "unknown"


def test_a_huge_line_is_cut() -> None:
    assert len(progress.log_line("x" * 10**6)["message"]) <= progress.LONGEST_LINE + 1


@given(st.text())
def test_no_text_ends_its_event_early(text: str) -> None:
    wire = progress.encode(progress.waiting(text), EventId("abc", 3))
    head, body, *rest = wire.split("\n")
    assert (head, rest) == ("id: abc.3", ["", ""])
    assert json.loads(body.removeprefix("data: "))["message"] == f"{text}\n"


@given(st.text())
def test_every_log_line_becomes_an_event_with_a_message(line: str) -> None:
    event = progress.log_line(line)
    assert isinstance(event["message"], str)
    assert event["phase"] in progress.LOG_PHASES | {"unknown"}


def test_an_event_id_survives_the_wire() -> None:
    assert parse_event_id(str(EventId("0af3", 12))) == EventId("0af3", 12)


@pytest.mark.parametrize(
    "text", ["", "7", "abc", "abc.", ".3", "abc.-1", "a b.1", "abc.x", "../x.1", "a" * 200 + ".1", "a.٣"]
)
def test_a_foreign_event_id_is_none(text: str) -> None:
    assert parse_event_id(text) is None


@pytest.mark.parametrize("line", ['{"message": "\\ud83d", "progress": "\\ud83d"}', "\ud83d"], ids=["json", "text"])
def test_half_a_character_is_replaced(line: str) -> None:
    event = progress.log_line(line)
    assert event["message"].strip() == "?"
    assert event.get("progress", "?") == "?"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_what_is_no_number_in_json_is_none_in_the_stream(number: str) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    wire = progress.encode(progress.log_line(f'{{"message": "x", "progress": {number}}}'))
    json.loads(wire.removeprefix("data: "), parse_constant=refuse)
