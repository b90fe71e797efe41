"""One scheduled round: how much time and patience of the Hub it has left, what it did, and what it leaves to the next.

Nothing here is a lock. Two rounds at once do the same harmless work twice, and the later one's cursors stay.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from functions.core.errors import BinderError
from functions.core.rounds import Deed, RoundState, after_round
from functions.state import records
from functions.state.records import Records
from functions.world import World

log = logging.getLogger(__name__)

# Half of the function's time: the last call may wait for a slow service, and be tried again.
BUDGET_S = 150.0
# Of which events that were missed get this part at most, so that a busy day does not keep idle servers alive.
MENDING_SHARE = 0.5
MOST_HUB_CALLS = 5000
# How many things the answer names, and how many troubles; all are counted, and those removed are in the log.
MOST_NAMED = 100
PAGE = 200

Record = TypeVar("Record")


@dataclass(slots=True)
class Round:
    """Made by `begin`. `servers` are names of users that have a server, as far as this round has met them."""

    world: World
    dry_run: bool
    deadline: float
    mending_deadline: float
    cursors: dict[str, str]
    hub_calls_left: int = MOST_HUB_CALLS
    deeds: Counter[Deed] = field(default_factory=Counter)
    named: list[dict[str, str]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    servers: set[str] = field(default_factory=set)

    def note(self, verb: str, what: str, reason: str, count: int = 1) -> None:
        """Count what was kept, or left to the next round."""
        self.deeds[Deed(verb, what, reason)] += count

    def did(self, verb: str, what: str, name: str, reason: str) -> None:
        """Count, name and log what was removed or mended, or would have been."""
        self.note(verb, what, reason)
        fields = {"what": what, "name": name, "reason": reason}
        if len(self.named) < MOST_NAMED:
            self.named.append({"verb": verb} | fields)
        log.info(f"would be {verb}" if self.dry_run else verb, extra={"fields": fields})

    def failed(self, error: BinderError) -> None:
        """Report trouble with one thing; it is kept, and looked at again in the next round."""
        self.note("left", "trouble", type(error).__name__)
        if len(self.trouble) < MOST_NAMED:
            self.trouble.append(str(error))

    @contextmanager
    def tolerating(self) -> Iterator[None]:
        """One service's trouble does not keep the round from the rest."""
        try:
            yield
        except BinderError as error:
            self.failed(error)

    def over(self, deadline: float = 0.0) -> bool:
        """Whether it is time to leave the rest to the next round."""
        return self.world.clock.now() > (deadline or self.deadline)

    def may_ask_hub(self, calls: int = 1) -> bool:
        """Whether there is time for *calls* more of the Hub; they are counted as made."""
        if self.over() or self.hub_calls_left < calls:
            return False
        self.hub_calls_left -= calls
        return True

    def has_server(self, user: str) -> bool:
        """Whether *user* has a server; also when there is no time left to ask, since what is not known is kept."""
        if user in self.servers or not self.may_ask_hub():
            return True
        known = self.world.hub.user(user)
        return known is not None and known.server is not None

    def each(
        self, part: str, kind: Records[Record], field: str, value: str, *, deadline: float = 0.0
    ) -> Iterator[Record]:
        """Records page by page, from where the last round stopped; what does not fit is left to the next one."""
        after = self.cursors.pop(part, "")
        while page := kind.where(field, value, limit=PAGE, after=after):
            for record in page:
                if self.over(deadline):
                    self.cursors[part] = after
                    self.note("left", part, "no time")
                    return
                yield record
                after = kind.key(record)

    def end(self) -> dict[str, Any]:
        """Hand on to the next round, and tell of this one."""
        if not self.dry_run:
            rounds = records.rounds(self.world.store)
            rounds.create_if_absent(RoundState())
            rounds.change(records.ROUND_KEY, lambda state: after_round(state, self.cursors, self.deeds))
        counts: dict[str, Any] = {verb: defaultdict(dict) for verb in ("removed", "mended", "kept", "left")}
        for deed, count in sorted(self.deeds.items()):
            counts[deed.verb][deed.what][deed.reason] = count
        told = counts | {"dry_run": self.dry_run, "trouble": self.trouble}
        log.info("culled", extra={"fields": told})
        return told | {"named": self.named}


Part = Callable[[Round], None]


def begin(world: World, *, dry_run: bool) -> Round:
    """A round that goes on where the last one stopped."""
    now = world.clock.now()
    state = records.rounds(world.store).get(records.ROUND_KEY) or RoundState()
    return Round(
        world=world,
        dry_run=dry_run,
        deadline=now + BUDGET_S,
        mending_deadline=now + BUDGET_S * MENDING_SHARE,
        cursors=dict(state.cursors),
    )
