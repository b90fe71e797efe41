"""The log of a build on Cloud Build: what repo2docker wrote, without what Cloud Build puts around it. Pure.

A log is `starting build ...` up to `BUILD`, the lines of the steps, `PUSH` with the lines of the push, and `DONE`. The
lines of a step begin with `Step #0 - "id": ` where there is more than one step.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

_PREFIX = re.compile(r'Step #\d+(?: - "[^"]*")?: ')
_AROUND = re.compile(r'(?:Starting|Finished) Step #\d+(?: - "[^"]*")?')
_CURSOR = re.compile(r"(\d{1,15})/(begin|steps|push)")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The log was read up to byte *offset*, which is in *part* of it."""

    offset: int = 0
    part: str = "begin"

    def __str__(self) -> str:
        return f"{self.offset}/{self.part}"


def parse_cursor(text: str) -> Cursor:
    """The cursor that *text* was made of; the beginning if it is empty. Raises ValueError for other text."""
    if not text:
        return Cursor()
    match = _CURSOR.fullmatch(text)
    if not match:
        raise ValueError(f"not a cursor of ours: {text[:100]!r}")
    return Cursor(int(match[1]), match[2])


def read_on(content: bytes, cursor: Cursor, *, full: int) -> tuple[list[str], Cursor]:
    """The lines in *content*, which begins at *cursor*, and the cursor after them.

    Half a line is left for the next time, unless it has *full* bytes already.
    """
    end = content.rfind(b"\n") + 1
    if not end and len(content) < full:
        return [], cursor
    whole = content[: end or len(content)]
    found: list[str] = []
    part = cursor.part
    for line in whole.removesuffix(b"\n").split(b"\n"):
        shown, part = _shown(line.decode(errors="replace").removesuffix("\r"), part)
        found += shown
    return found, replace(cursor, offset=cursor.offset + len(whole), part=part)


def unprefixed(line: str) -> str:
    """*line* as the step wrote it."""
    return _PREFIX.sub("", line, count=1) if _PREFIX.match(line) else line


def _shown(line: str, part: str) -> tuple[list[str], str]:
    if part == "begin":
        return [], "steps" if line == "BUILD" else "begin"
    if part == "steps" and line == "PUSH":
        return [_pushing("Pushing the image.")], "push"
    if part == "push":
        return [] if line == "DONE" else [_pushing(line)], "push"
    return [] if _AROUND.fullmatch(line) else [unprefixed(line)], part


def _pushing(line: str) -> str:
    # As repo2docker tells it of a push of its own.
    return json.dumps({"phase": "pushing", "message": f"{line}\n"})
