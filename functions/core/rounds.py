"""What one round of the cull hands on to the next, and what all rounds have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple


class Deed(NamedTuple):
    """What a round did (`verb`: removed, mended, kept, left) with how many of a kind, and why.

    All three are words of ours, so there is only a handful of them.
    """

    verb: str
    what: str
    reason: str


COUNTED = ("removed", "mended")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundState:
    """`cursors` say where a part of the round goes on, when it did not come to its end; `deeds` are the sums for
    /metrics, of the verbs in COUNTED."""

    cursors: Mapping[str, str] = field(default_factory=dict)
    deeds: Mapping[Deed, int] = field(default_factory=dict)


def after_round(state: RoundState, cursors: Mapping[str, str], deeds: Mapping[Deed, int]) -> RoundState:
    """The state after one more round."""
    sums = dict(state.deeds)
    for deed, count in deeds.items():
        if deed.verb in COUNTED:
            sums[deed] = sums.get(deed, 0) + count
    return replace(state, cursors=dict(cursors), deeds=sums)
