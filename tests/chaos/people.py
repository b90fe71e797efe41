"""People who launch: each follows one launch to its end, as a browser does that knows nothing of what goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.faults import Visit
from tests.e2e.stack import HTTP, Event, Stack

COOKIE = "binderless-browser"
# An EventSource comes back after three seconds; ours are in a hurry.
PAUSE_S = 1.0
# Events that somebody hears who is about to break off.
HEARD = 3
USES_S = 15.0


@dataclass(slots=True)
class Story:
    """What one person has lived through. `end` is the last event of the launch; None while there is none."""

    visit: Visit
    repo_url: str
    began: float = 0.0
    ended: float = 0.0
    launches: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    broken_off: int = 0
    end: Event | None = None
    gone: bool = False
    stopped: bool = False

    @property
    def launch_id(self) -> str:
        return self.end.id.rpartition(".")[0] if self.end else ""


class Person(threading.Thread):
    """Comes when its visit says so, and stays until the launch has ended, whatever breaks on the way."""

    def __init__(self, stack: Stack, visit: Visit, repo_url: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.story = Story(visit, repo_url)
        self._stack, self._over = stack, over
        self._last_id = ""
        self._drops = visit.drops

    def run(self) -> None:
        if self._over.wait(self.story.visit.at_s):
            return
        self.story.began = time.time()
        while not self.story.end and not self._over.is_set():
            try:
                self._follow()
            except Exception:
                # However the HTTP library puts it: the stream is broken, and a browser tries again.
                self.story.broken_off += 1
            if self.story.gone:
                return
            self._over.wait(PAUSE_S)
        self.story.ended = time.time()
        self._use()

    def _follow(self) -> None:
        """One connection."""
        visit = self.story.visit
        stream = self._stack.launch(self.story.repo_url, visit.ref, **self._headers())
        heard = 0
        try:
            for event in stream:
                heard += 1
                if self._take(event):
                    return
                if self._drops and heard >= HEARD:
                    self._drops -= 1
                    self.story.gone = visit.leaves and not self._drops
                    return
        finally:
            stream.close()  # type: ignore[attr-defined]

    def _headers(self) -> Mapping[str, str]:
        if self.story.visit.reloads or not self._last_id:
            return {"Cookie": f"{COOKIE}={self.story.visit.number:032x}"}
        return {"Last_Event_ID": self._last_id, "Cookie": f"{COOKIE}={self.story.visit.number:032x}"}

    def _take(self, event: Event) -> bool:
        """Whether it is the end of this connection."""
        launch = event.id.rpartition(".")[0]
        if launch and launch != "refused":
            self._last_id = event.id
            if launch not in self.story.launches:
                self.story.launches.append(launch)
        if event.phase == "failed" and (not launch or launch == "refused"):
            # A refusal is no launch: who is refused because something is out tries again.
            self.story.refusals.append(event.message.strip())
            return True
        if event.phase in ("ready", "failed"):
            self.story.end = event
            return True
        return False

    def _use(self) -> None:
        """Work for a while, and stop the server when that is over, if one is a tidy person."""
        story = self.story
        if story.end is None or story.end.phase != "ready" or not story.visit.stops:
            return
        if self._over.wait(USES_S):
            return
        story.stopped = True
        while not self._over.is_set() and not answered(self._stop_server):
            self._over.wait(PAUSE_S)

    def _stop_server(self) -> bool:
        url = f"{self._stack.url}/api/launches/{self.story.launch_id}"
        answer = HTTP.request("DELETE", url, timeout=30.0)
        self.story.refusals += [answer.data.decode()] if answer.status not in (200, 404) else []
        return answer.status in (200, 404)


def server_answers(end: Event | None) -> bool:
    """Whether the server that a `ready` has promised takes its token."""
    if end is None:
        return False
    url = f"{end.data['url']}api/status"
    return HTTP.request("GET", url, headers={"Authorization": f"token {end.data['token']}"}, timeout=10.0).status == 200


def answered(question: Callable[[], Any]) -> bool:
    """What *question* says; no, when nobody answers."""
    try:
        return bool(question())
    except Exception:
        return False
