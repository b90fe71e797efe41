"""What the demo shows of a launch."""

from __future__ import annotations

import pytest

from emulator.demo import Outcome, Progress, short
from emulator.public_api import Event

READY = Event("a.9", {"phase": "ready", "url": "http://localhost:1/user/x/", "token": "t"})
FAILED = Event("a.9", {"phase": "failed", "message": "no"})


@pytest.mark.parametrize(
    ("name", "last", "expected"),
    [
        ("requirements", READY, True),
        ("requirements", FAILED, False),
        ("broken", FAILED, True),
        ("broken", READY, False),
        ("requirements", None, False),
    ],
)
def test_only_the_broken_example_may_fail(name: str, last: Event | None, expected: bool) -> None:
    assert Outcome(name, last, 1.0).as_expected is expected


def test_the_link_opens_the_server_with_its_token() -> None:
    assert Outcome("requirements", READY, 1.0).link == "http://localhost:1/user/x/?token=t"
    assert Outcome("broken", FAILED, 1.0).link == ""


def test_a_log_cannot_move_the_cursor() -> None:
    assert short("first\n\x1b[2J\x1b]0;evil\x07last\n\n") == "[2J]0;evillast"


def test_without_a_terminal_only_new_phases_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(live=False)
    for phase, message in [("building", "one"), ("building", "two"), ("", "three"), ("built", "four")]:
        progress.show(Event("", {"phase": phase, "message": message}), seconds=1.0)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["one", "four"]
