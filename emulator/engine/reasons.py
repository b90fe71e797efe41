"""The lines of an installer's output that say why it failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CAUSE = re.compile(r" {0,4}(?:error|cause):\s*(.*)")
# An exception at the end of a traceback, or a compiler's complaint.
_SAID = re.compile(r"\s*((?:\w+\.)*\w*(?:Error|Exception|Exit)\b.*|(?:fatal|error):.*|\S.*: (?:fatal )?error:.*)")
_LIMIT = 600


def reason_of(lines: Sequence[str]) -> str:
    """One sentence from uv's output: what it was doing, and the innermost thing that went wrong."""
    starts = [number for number, line in enumerate(lines) if line.startswith("error:")]
    if not starts:
        return next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
    block = lines[starts[-1] :]
    causes = [match[1].strip() for line in block if (match := _CAUSE.fullmatch(line.rstrip())) and match[1]]
    details = [match[1].strip() for line in block[1:] if (match := _SAID.fullmatch(line.rstrip()))]
    # A compiler says what is missing before its callers say that it failed.
    fatal = [detail for detail in details if "fatal error:" in detail]
    parts = [causes[0], causes[-1], *(fatal[:1] or details[-1:])]
    return ": ".join(dict.fromkeys(part.rstrip(":") for part in parts))[:_LIMIT]
