"""What a stack consists of, as data: parts that run, steps that are done once, and who needs whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process that runs as long as the stack does.

    It starts when everything in *needs* is ready, and ends before that does; so it does with parts in *uses*, but those
    it can wait for itself. It is ready when *health* answers 200, or, without *health*, when a line of its log contains
    *ready_line*. *address* is for people and for `status`.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path = Path(".")
    needs: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    address: str = ""
    health: str = ""
    ready_line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to be done once, when everything in *needs* is ready, and repeated on every start without harm."""

    name: str
    run: Callable[[], Awaitable[None]]
    needs: frozenset[str] = frozenset()


class StackFailed(Exception):
    """The stack cannot start; the text says why, for the person at the terminal."""


def relied_on(member: Part | Step) -> frozenset[str]:
    """The members that have to be there for as long as this one is."""
    return member.needs | member.uses if isinstance(member, Part) else member.needs


def check(members: Sequence[Part | Step]) -> None:
    """Raise ValueError unless names are unique and every need can be met: no unknown name, no circle."""
    left = {member.name: set(relied_on(member)) for member in members}
    if len(left) != len(members):
        raise ValueError("two members of the stack have the same name")
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        unknown = {need for name in free for need in left[name]} - {member.name for member in members}
        if unknown or not free:
            raise ValueError(f"needs that cannot be met: {', '.join(sorted(unknown or left))}")
        left = {name: needs for name, needs in left.items() if name not in free}
