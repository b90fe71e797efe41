"""Trouble on demand: creates that fail before, or after, the build is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How many of the next creates are refused with 503, and how many are done but answered with 503."""

    refuse_creates: int = 0
    lose_create_answers: int = 0

    @classmethod
    def parse(cls, document: Any) -> Switches:
        """Read switches from JSON; what is not named is off. Raises ValueError."""
        names = ("refuse_creates", "lose_create_answers")
        if not isinstance(document, Mapping) or not set(document) <= set(names):
            raise ValueError(f"expected an object of {' and '.join(names)}")
        counts = {name: document.get(name, 0) for name in names}
        if not all(type(count) is int and count >= 0 for count in counts.values()):
            raise ValueError(f"{' and '.join(names)} are counts")
        return cls(**counts)


class BuildFaults:
    """The switches as they stand; each create uses them up."""

    def __init__(self) -> None:
        self._switches = Switches()

    def set(self, switches: Switches) -> None:
        """Replace every switch."""
        self._switches = switches

    def state(self) -> dict[str, int]:
        """The switches as JSON."""
        return asdict(self._switches)

    def refuses(self) -> bool:
        """Whether this create is refused before anything happens."""
        if not self._switches.refuse_creates:
            return False
        self._switches = replace(self._switches, refuse_creates=self._switches.refuse_creates - 1)
        return True

    def loses_answer(self) -> bool:
        """Whether the answer to this create, which was done, is an error."""
        if not self._switches.lose_create_answers:
            return False
        self._switches = replace(self._switches, lose_create_answers=self._switches.lose_create_answers - 1)
        return True
