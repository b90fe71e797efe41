"""Plays the steps of a recorded case against a server, and says where the answers differ."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.emulator.kube.replay.comparing import Comparison, Mismatch
from tests.emulator.kube.replay.recorded import Case
from tests.emulator.kube.replay.views import by_name, pick, shown, view_of_event, without_noise

PATIENCE_S = 60.0
WAIT_S = 40.0
# After the last event that was recorded, so long for one too many.
QUIET_S = 0.3


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    type: str
    body: Any


@dataclass(frozen=True, slots=True)
class Api:
    """A server to be asked as the recorder asked the real one."""

    url: str
    token: str

    def open(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> http.client.HTTPConnection:
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE_S)
        given = {"Authorization": f"Bearer {self.token}"} | headers
        connection.request(method, path, body, {key: value for key, value in given.items() if value})
        return connection

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = self.open(method, path, body, headers or {})
        try:
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers.get("Content-Type", ""), _decoded(answer.read()))
        finally:
            connection.close()


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


class Watcher:
    """A watch in the background."""

    def __init__(self, api: Api, path: str) -> None:
        self.events: list[Any] = []
        self.ended = threading.Event()
        self._news = threading.Event()
        self._connection = api.open("GET", path, None, {})
        self._answer = self._connection.getresponse()
        self.code, self.type = self._answer.status, self._answer.headers.get("Content-Type", "")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._answer:
                self.events.append(json.loads(line))
                self._news.set()
        except (OSError, ValueError, http.client.HTTPException):
            return
        finally:
            self.ended.set()
            self._news.set()

    def wait(self, timeout_s: float) -> None:
        """Return when something came since the last time."""
        self._news.wait(timeout_s)
        self._news.clear()

    def stop(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(2)
        self._thread.join(PATIENCE_S)
        self._connection.close()


@dataclass(slots=True)
class Player:
    """One case being played. `compact` makes the server forget old versions."""

    case: Case
    api: Api
    values: dict[str, str]
    compact: Callable[[], None]
    comparison: Comparison = field(init=False)
    seen: list[Any] = field(default_factory=list)
    watchers: dict[str, Watcher] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.comparison = Comparison(self.values)

    def mismatches(self) -> Iterator[Mismatch]:
        """Play all steps; yield what differs, its path led by the step's number."""
        try:
            for number, step in enumerate(self.case.steps):
                for found in self._play(step):
                    yield Mismatch(f"{number}{found.path}", found.recorded, found.actual)
        finally:
            for watcher in self.watchers.values():
                watcher.stop()

    def _play(self, step: dict[str, Any]) -> list[Mismatch]:
        if "sleep" in step:
            time.sleep(step["sleep"])
        elif "hook" in step:
            self.compact()
        elif "wait" in step:
            return self._wait(step)
        elif "watch" in step:
            self.watchers[step["as"]] = Watcher(self.api, self._filled(step["watch"]))
        elif "stop" in step:
            return self._stop(self.watchers.pop(step["stop"]), step["answer"])
        else:
            return self._request(step)
        return []

    def _filled(self, text: str) -> str:
        for name in ("rv", "rv2", "uid", "uid2", "c", "d", "node"):
            if "{" + name + "}" in text:
                text = text.replace("{" + name + "}", self._saved(name))
        for name, value in self.values.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _saved(self, name: str) -> str:
        """Return a value of an earlier answer: the newest when it is first asked for (of pages, each time)."""
        if name in ("c", "d"):
            return str(self._newest("continue"))
        if name not in self.values:
            field_of = {"r": "resourceVersion", "u": "uid"}[name[0]]
            self.values[name] = str(self._newest(field_of, continued="paging" in self.case.name))
        return self.values[name]

    def _newest(self, name: str, *, continued: bool = False) -> Any:
        metas = (body.get("metadata") or {} for body in reversed(self.seen) if isinstance(body, dict))
        found = (meta[name] for meta in metas if meta.get(name) and (not continued or "continue" in meta))
        return next(found)

    def _request(self, step: dict[str, Any]) -> list[Mismatch]:
        method, _, path = step["request"].partition(" ")
        raw = json.dumps(step["body"]) if "body" in step else step.get("raw")
        if raw is not None:
            # The root of a container is the machine's, and nobody may write there.
            raw = raw.replace("touch /x", "touch /tmp/x").replace('"/x"', '"/tmp/x"')
        headers = dict(step.get("headers") or {})
        if raw is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        body = None if raw is None else self._filled(raw).encode()
        answer = self.api.ask(method, self._filled(path), body, headers)
        self.seen.append(answer.body)
        recorded = dict(step["answer"])
        if str(step.get("view")).startswith(("groups:", "resources:")):
            recorded["body"] = by_name(recorded["body"])
        actual = {"code": answer.code, "type": answer.type, "body": shown(answer.body, step.get("view"))}
        return self.comparison.mismatches(recorded, {key: actual[key] for key in recorded})

    def _wait(self, step: dict[str, Any]) -> list[Mismatch]:
        wanted, until = step["for"], time.monotonic() + (WAIT_S if step["met"] else 2)
        # Tokens of service accounts never come (see differences.py).
        until = time.monotonic() + 1 if "secrets" in wanted else until
        while time.monotonic() < until:
            answer = self.api.ask("GET", self._filled(step["wait"]))
            if self._holds(answer, wanted):
                self.seen.append(answer.body)
                return [] if step["met"] else [Mismatch("", "never", answer.body)]
            time.sleep(0.1)
        return [Mismatch(".wait", wanted, answer.body)] if step["met"] else []

    def _holds(self, answer: Answer, wanted: Any) -> bool:
        if wanted == "gone":
            return answer.code == 404
        if answer.code != 200:
            return False
        return all(self._fits(value, pick(answer.body, path)) for path, value in wanted.items())

    @staticmethod
    def _fits(wanted: Any, value: Any) -> bool:
        if wanted == "*":
            return bool(value)
        return value in wanted if isinstance(wanted, list) else bool(value == wanted)

    def _stop(self, watcher: Watcher, recorded: dict[str, Any]) -> list[Mismatch]:
        wanted = recorded["events"]
        until = time.monotonic() + PATIENCE_S
        while not self._complete(watcher, recorded) and (left_s := until - time.monotonic()) > 0:
            watcher.wait(left_s)
        if not wanted or wanted[-1]["type"] == "DELETED":
            time.sleep(QUIET_S)
        actual = self._boiled(watcher.events, wanted)
        if _is_states(wanted):
            actual = _as_recorded(self.comparison, wanted, actual)
        ended = {"ended": watcher.ended.is_set()} if "ended" in recorded else {}
        watcher.stop()
        got = {"code": watcher.code, "type": watcher.type, "events": actual} | ended
        return self.comparison.mismatches(recorded, got)

    def _complete(self, watcher: Watcher, recorded: dict[str, Any]) -> bool:
        if recorded.get("ended") or watcher.ended.is_set():
            return watcher.ended.is_set()
        wanted, actual = recorded["events"], self._boiled(watcher.events, recorded["events"])
        enough = len(actual) >= len(wanted) or _is_states(wanted)
        return not wanted or bool(actual and enough and _matches(self.comparison, wanted[-1], actual[-1]))

    @staticmethod
    def _boiled(events: list[Any], recorded: list[Any]) -> list[Any]:
        view = view_of_event(recorded[-1]["object"]) if recorded else None
        found: list[Any] = []
        for event in list(events):
            seen = {"type": event["type"], "object": shown(event["object"], view)}
            if not (view in ("pod", "job") and found and found[-1] == seen):
                found.append(seen)
        return without_noise(found)  # type: ignore[no-any-return]


def _is_states(recorded: list[Any]) -> bool:
    return bool(recorded) and view_of_event(recorded[-1]["object"]) in ("pod", "job")


def _matches(comparison: Comparison, recorded: Any, actual: Any) -> bool:
    trial = Comparison(comparison.values, dict(comparison.met))
    return not trial.mismatches(recorded, actual)


def _as_recorded(comparison: Comparison, recorded: list[Any], actual: list[Any]) -> list[Any]:
    """Leave out states that the recording may have missed: those between two that it shows."""
    kept: list[Any] = []
    for state in actual:
        if len(kept) < len(recorded) and _matches(comparison, recorded[len(kept)], state):
            kept.append(state)
    return kept if len(kept) == len(recorded) else actual
