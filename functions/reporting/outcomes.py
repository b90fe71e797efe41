"""How launches and builds ended, counted once each across all instances: first rows, later folded into totals.

Every outcome is a row of its own, so that no launch ever waits for another to be counted. A row is written before the
end that it tells of, under a fixed key: after a crash in between, whoever takes the step next writes the same row. It
is folded when that can no longer happen.
"""

from __future__ import annotations

from functions.core.build import Build
from functions.core.errors import UpstreamError
from functions.core.launch import Launch
from functions.core.metrics import BUCKETS_S, Outcome, Totals, build_outcome, fold, launch_outcome
from functions.state import records
from functions.world import World

# Longer than a lease, and than the pause between two rounds of the cull, which ends what its own instance did not.
FOLD_AFTER_S = 900.0
MOST_ROWS = 10_000
MOST_AT_ONCE = 400
_MOST_TRIES = 20


def count_launch(launch: Launch, world: World) -> None:
    """Write the outcome of *launch*, which is about to end; again is harmless."""
    outcome = launch_outcome(launch)
    if outcome is not None:
        records.outcomes(world.store).create_if_absent(outcome)


def count_build(build: Build, world: World) -> None:
    """Write the outcome of *build*, which is about to end; again is harmless."""
    records.outcomes(world.store).create_if_absent(build_outcome(build, now=world.clock.now()))


def fold_batch(world: World, *, most: int = MOST_AT_ONCE) -> int:
    """Fold the oldest rows, up to *most*, into the totals, and return how many; 0 when there is nothing left to fold.

    The totals remember the keys of a batch until its rows are gone, and no other batch comes in before. So each row
    counts once, whoever dies at whatever point, and however many fold at once.
    """
    rows, totals = records.outcomes(world.store), records.totals(world.store)
    totals.create_if_absent(Totals())

    def add(before: Totals) -> Totals | None:
        for key in before.folded:
            rows.delete(key)
        due = [row for row in _rows(world) if row.at <= world.clock.now() - FOLD_AFTER_S]
        oldest = sorted(due, key=lambda row: (row.at, row.key))[:most]
        return fold(before, oldest) if oldest or before.folded else None

    after = totals.change(records.TOTALS_KEY, add)
    return len(after.folded) if after is not None else 0


def read_totals(world: World) -> Totals:
    """All outcomes so far, folded or not."""
    totals = records.totals(world.store)
    before = totals.get(records.TOTALS_KEY)
    for _ in range(_MOST_TRIES):
        rows = _rows(world)
        after = totals.get(records.TOTALS_KEY)
        if after == before:
            return fold(before or Totals(), rows)
        # A fold came between: some rows may be in neither, and counters that go back look like a restart.
        before = after
    raise UpstreamError("The store", "is folding its metrics. Please try again.")


def _rows(world: World) -> list[Outcome]:
    rows = records.outcomes(world.store)
    return [row for what in BUCKETS_S for row in rows.where("what", what, limit=MOST_ROWS)]
