"""A short play of a fixed seed: whatever fails, every launch ends truthfully, and nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import VICTIMS
from tests.chaos.play import play

SEED, LAUNCHES, SECONDS = 7, 8, 36


@pytest.mark.stack
@pytest.mark.timeout(480)
def test_whatever_fails_every_launch_ends_truthfully_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = play(SEED, launches=LAUNCHES, seconds=SECONDS, folder=tmp_path)
    with capsys.disabled():
        print(f"\n{outcome.report()}")  # noqa: T201 - the counts are what a person wants to see
    assert outcome.problems == []
    assert len(outcome.journal.kills()) >= len(VICTIMS) - 1
    assert outcome.journal.faults().total() >= 20
