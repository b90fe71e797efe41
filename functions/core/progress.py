"""What a watcher of a launch is told: numbered events, as BinderHub's clients expect them.

The protocol is described in BinderHub's documentation ("API"); framing is that of Server-Sent Events
(https://html.spec.whatwg.org/multipage/server-sent-events.html). Every event has a `message`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from functions.core.launch import Launch, Phase
from functions.core.places import Turn
from functions.core.server_options import provenance

KEEPALIVE = ":keepalive\n\n"
# Clients come back by themselves after a dropped connection; not all at the same moment as a stampede.
RETRY = "retry: 3000\n\n"
LONGEST_LINE = 10_000

# The number of a story's last event; all others are smaller.
END = 10**9

# What repo2docker --json-logs may say of itself. Anything else is a line that the repository printed.
LOG_PHASES = frozenset({"fetching", "building", "pushing"})


@dataclass(frozen=True, slots=True)
class EventId:
    """`<launch id>.<n>`: which launch, and how much of its story has been told."""

    launch_id: str
    number: int

    @property
    def is_end(self) -> bool:
        """Whether nothing is left to tell."""
        return self.number >= END

    def __str__(self) -> str:
        return f"{self.launch_id}.{self.number}"


# The end of what never became a launch.
REFUSED = EventId("refused", END)


def parse_event_id(text: str) -> EventId | None:
    """The id in a Last-Event-ID header; None for anything that is not one of ours."""
    launch_id, dot, number = text.strip().rpartition(".")
    if not dot or not launch_id.isalnum() or not (number.isascii() and number.isdigit()) or len(text) > 100:
        return None
    return EventId(launch_id, int(number))


Event = dict[str, Any]


def encode(event: Mapping[str, Any], event_id: EventId | None = None) -> str:
    """The event on the wire: one JSON line, so that no text inside can end it."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}data: {json.dumps(event)}\n\n"


def ago(age_s: float) -> str:
    """How long ago something was, as people say it."""
    for unit, unit_s in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if age_s >= unit_s:
            count = int(age_s // unit_s)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "a moment ago"


def waiting(message: str) -> Event:
    return {"phase": "waiting", "message": f"{message}\n"}


def queued(turn: Turn, why: str) -> Event:
    """Where in a queue a launch stands, and *why* there is one; the same for programs, under `queue`. The message is
    what people would want to hear anew."""
    left = "" if turn.estimate_s is None else f", {_in_about(turn.estimate_s)}"
    event = waiting(f"{why} You are number {turn.ahead + 1} in the queue{left}.")
    return event | {"queue": queue_of(turn)}


def queue_of(turn: Turn) -> dict[str, Any]:
    """A place in the queue: `position` from 1, and `estimate_s`, null while nobody knows."""
    return {"position": turn.ahead + 1, "estimate_s": None if turn.estimate_s is None else round(turn.estimate_s)}


def _in_about(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "it will take less than a minute"
    return f"it will take about {minutes} minutes" if minutes > 1 else "it will take about a minute"


def log_line(line: str) -> Event:
    """An event from one line of a build's log, which strangers may have written.

    repo2docker's own JSON lines keep their phase. Its `failed` becomes `building`: the end of a launch is told once,
    by us. Everything else is shown as it is; `ready` or `url` in a log mean nothing.
    """
    try:
        parsed = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("message"), str):
        return {"phase": "unknown", "message": f"{_sendable(line)}\n"}
    phase = parsed.get("phase")
    event: Event = {"message": _sendable(parsed["message"])}
    event["phase"] = phase if phase in LOG_PHASES else "building"
    done = parsed.get("progress")
    if isinstance(done, str):
        event["progress"] = _sendable(done)
    elif isinstance(done, int) or (isinstance(done, float) and isfinite(done)):
        event["progress"] = done
    return event


def _sendable(text: str) -> str:
    """As much of *text* as is shown; halves of characters, which no encoding has, are replaced."""
    return text[:LONGEST_LINE].encode(errors="replace").decode()


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def built(image: str, *, found: bool) -> Event:
    message = "Found built image, launching...\n" if found else "Built image, launching...\n"
    return {"phase": "built", "imageName": image, "message": message}


def launching(message: str) -> Event:
    return {"phase": "launching", "message": f"{message}\n"}


def ready(launch: Launch) -> Event:
    """The last event of a launch that went well: where the server is, and the token that opens it."""
    if launch.build_only:
        message = "Done! Image built\n" if launch.attempt else "Done! Found built image\n"
        return {"phase": "ready", "imageName": launch.image, "message": message}
    return {
        "phase": "ready",
        "message": f"server running at {launch.url}\n",
        "image": launch.image,
        "token": launch.token,
        **provenance(launch),
        "url": launch.url,
    }


def failed(message: str, *, status: int) -> Event:
    return {"phase": "failed", "status_code": status, "message": f"{message}\n"}


def ended(launch: Launch) -> Event:
    """The last event of a launch that has no server, or none any more."""
    if launch.phase is Phase.STOPPED:
        return failed("The server has been stopped. Please launch again.", status=410)
    return failed(launch.reason, status=launch.status)
