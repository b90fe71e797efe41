"""Records that are forgotten in time: each names the last day on which it is wanted, and the scheduled round asks by
that.

Days are ISO dates in UTC, in the indexed field `expires_on`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from functions.core.build import Build, wanted_at
from functions.core.ports import Store

# How many past days are looked at, should no round have come for some; each costs a query a kind and round.
FORGET_DAYS = 3
LAST_DAYS = tuple(range(1, FORGET_DAYS + 1))


def expires_on(now: float, *, keep_s: float) -> str:
    """The day on which a record of *now* is wanted last, if it is to be kept for *keep_s* seconds."""
    return date(now + keep_s)


def image_until(build: Build, *, keep_s: float) -> str:
    """The day on which the image of *build* is kept last; empty: it is kept for ever, or there is none."""
    return expires_on(wanted_at(build), keep_s=keep_s) if keep_s and build.succeeded else ""


def date(at: float) -> str:
    """The day of a time in seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def expired(
    store: Store, kind: str, *, now: float, most: int, field: str = "expires_on", days_ago: Sequence[int] = LAST_DAYS
) -> list[str]:
    """Keys of the records of *kind* whose day in *field* was one of *days_ago*, *most* of them at once."""
    keys: list[str] = []
    for days in days_ago:
        left = most - len(keys)
        found = store.query(kind, field, date(now - days * 86400), limit=left) if left else ()
        keys.extend(document.key for document in found)
    return keys
