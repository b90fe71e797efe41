"""The public API as a client uses it: a launch as a stream of events (Server-Sent Events), with aiohttp."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

# A build may be silent for long, but the stream is not: it sends a comment every 25 s.
SILENCE_S = 90


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a launch. `id` resumes the launch after this event."""

    id: str
    data: Mapping[str, Any]

    @property
    def phase(self) -> str:
        return str(self.data.get("phase", ""))

    @property
    def message(self) -> str:
        return str(self.data.get("message", "")).strip()


class EventLines:
    """Puts events together from the lines of a stream: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

    def __init__(self) -> None:
        self._id = ""
        self._data: list[str] = []

    def feed(self, line: str) -> Event | None:
        """Take the next line, without its end; return an event if the line completes one."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "data":
            self._data.append(value)
        # Lines that start with : are comments; other fields are not ours.
        return None

    def _complete(self) -> Event | None:
        if not self._data:
            return None
        text, self._data = "\n".join(self._data), []
        return Event(self._id, json.loads(text))


def launch_url(base_url: str, repo_url: str, ref: str = "HEAD") -> str:
    """The address that launches *repo_url* with the provider `git`."""
    return f"{base_url.rstrip('/')}/build/git/{quote(repo_url, safe='')}/{quote(ref, safe='')}"


async def launch(session: aiohttp.ClientSession, url: str, *, last_event_id: str = "") -> AsyncIterator[Event]:
    """Follow a launch until it is ready or has failed, or the stream ends."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S)
    lines = EventLines()
    # The repository's address is percent-encoded in the path, and must stay so.
    async with session.get(_verbatim(url), headers=headers, timeout=timeout) as response:
        response.raise_for_status()
        async for line in response.content:
            event = lines.feed(line.decode().rstrip("\r\n"))
            if event is None:
                continue
            yield event
            if event.phase in ("ready", "failed"):
                return


def _verbatim(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)
