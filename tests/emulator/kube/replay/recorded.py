"""The recorded answers of a real API server (`../answers`), as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).parents[1] / "answers"


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded case: its steps in order. `varies` names answers that come out one way or another."""

    name: str
    steps: list[dict[str, Any]]
    varies: list[Any]


def all_cases() -> list[Case]:
    """Return every case of every topic."""
    files = (json.loads(path.read_text()) for path in sorted(ANSWERS.glob("*.json")))
    return [Case(each["name"], each["steps"], each.get("varies", [])) for file in files for each in file["cases"]]
