"""`python -m functions admin ...`: what the operator changes at run time, for all instances at once."""

from __future__ import annotations

import dataclasses
import getpass
import json
import logging
from collections.abc import Callable, Sequence

from functions.core.limit_commands import changed
from functions.core.limits import Limits
from functions.state.limits import KnownLimits

log = logging.getLogger(__name__)


def run(words: Sequence[str], limits: KnownLimits, *, say: Callable[[str], None], who: str = "") -> None:
    """Carry out one command, `show` or one of docs/limits.md, and say what holds now. Raises BadRequest,
    and UpstreamError when the store does not answer."""
    after = limits.stored() if list(words) in ([], ["show"]) else _changed(words, limits, who or _me())
    say(json.dumps(dataclasses.asdict(after), indent=2))


def _changed(words: Sequence[str], limits: KnownLimits, who: str) -> Limits:
    after = limits.change(lambda before: changed(before, words))
    log.info("limits changed", extra={"fields": {"who": who, "command": " ".join(words)}})
    return after


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
