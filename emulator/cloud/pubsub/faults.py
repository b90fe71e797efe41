"""Trouble on demand: lose, repeat, delay or reorder the next messages. Pure.

Pub/Sub promises at least once, in any order; these switches make a test of that promise repeatable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

# Reordered messages are due this far apart, the first published last.
REORDER_STEP_S = 1.0
MAX_DELAY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one published message: how many copies are delivered, and how late."""

    copies: int = 1
    delay_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How many of the next messages are dropped, doubled or reordered; *delay_s* holds for all until it is reset."""

    drop: int = 0
    duplicate: int = 0
    reorder: int = 0
    delay_s: float = 0

    @classmethod
    def parse(cls, document: Any) -> Switches:
        """Read switches from JSON; what is not named is off. Raises ValueError."""
        if not isinstance(document, Mapping) or not set(document) <= {"drop", "duplicate", "reorder", "delay_s"}:
            raise ValueError("expected an object of drop, duplicate, reorder and delay_s")
        counts = {name: document.get(name, 0) for name in ("drop", "duplicate", "reorder")}
        delay_s = document.get("delay_s", 0)
        if not all(type(count) is int and count >= 0 for count in counts.values()):
            raise ValueError("drop, duplicate and reorder are counts")
        if type(delay_s) not in (int, float) or not 0 <= delay_s <= MAX_DELAY_S:
            raise ValueError(f"delay_s is a number of seconds up to {MAX_DELAY_S:.0f}")
        return cls(**counts, delay_s=delay_s)


class Faults:
    """The switches as they stand; each published message uses them up."""

    def __init__(self, switches: Switches = Switches()) -> None:
        self._switches = switches

    def set(self, switches: Switches) -> None:
        """Replace every switch."""
        self._switches = switches

    def state(self) -> dict[str, float]:
        """The switches as JSON."""
        return asdict(self._switches)

    def next_fate(self) -> Fate:
        """Decide the fate of the next message."""
        switches = self._switches
        if switches.drop:
            self._switches = replace(switches, drop=switches.drop - 1)
            return Fate(copies=0)
        self._switches = replace(
            switches, duplicate=max(0, switches.duplicate - 1), reorder=max(0, switches.reorder - 1)
        )
        late_s = max(0, switches.reorder - 1) * REORDER_STEP_S
        return Fate(copies=2 if switches.duplicate else 1, delay_s=switches.delay_s + late_s)
