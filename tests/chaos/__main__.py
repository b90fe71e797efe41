"""Chaos on the whole stack: `python -m tests.chaos [SEED=n] [LAUNCHES=n] [MINUTES=x] [BACKEND=cloud_build]`.

The environment may say these too. Without a seed, three plays with seeds of the day; whoever finds something wrong says
SEED to see it again.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.chaos.journal import Journal
from tests.chaos.play import Outcome, play

PLAYS = 3
# A play that has not ended by then never will.
MARGIN_S = 600


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Play, and print what it came to; 1 when anything is wrong."""
    settings = {**environ, **dict(word.split("=", 1) for word in arguments)}
    minutes = float(settings.get("MINUTES") or 3)
    launches = int(settings.get("LAUNCHES") or max(8, round(6 * minutes)))
    first = int(time.time()) // 86_400 * PLAYS
    seeds = [int(settings["SEED"])] if settings.get("SEED") else [first + number for number in range(PLAYS)]
    backend = settings.get("BACKEND") or "kubernetes"
    outcomes = []
    for seed in seeds:
        outcomes.append(_play(seed, launches=launches, seconds=60 * minutes, backend=backend))
        print(outcomes[-1].report(), flush=True)
    everything = Journal([entry for outcome in outcomes for entry in outcome.journal.entries])
    print(f"never happened: {', '.join(everything.never(backend)) or 'nothing'}", flush=True)
    return int(any(outcome.problems for outcome in outcomes))


def _play(seed: int, *, launches: int, seconds: float, backend: str) -> Outcome:
    faulthandler.dump_traceback_later(seconds + MARGIN_S, exit=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(
        f"seed {seed}: {launches} launches in {seconds:.0f} s, builds by {backend}; the stack is in {folder}",
        flush=True,
    )
    outcome = play(seed, launches=launches, seconds=seconds, folder=folder, backend=backend)
    faulthandler.cancel_dump_traceback_later()
    if not outcome.problems:
        shutil.rmtree(folder)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
