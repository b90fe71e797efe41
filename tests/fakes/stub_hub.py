"""A Hub that speaks its REST API over a real socket, and starts servers when a test lets it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from functions.adapters.http import HttpClient, Retry
from functions.adapters.jupyterhub import JupyterHub
from tests.fakes.web import Reply, Web, web_server


@dataclass
class StubHub:
    """`users` and `servers` are the names that POST asked for, `starting` how many follow a start right now.

    `refusals` holds the status and words that answer, for ever, whoever wants to create a "user" or a "server".
    `loses_answers` starts a server and answers 503. `go` lets all servers be ready. `crowd` are users who are listed,
    each with a server and the seconds since the epoch at which that was last used; deleted ones leave it.
    """

    web: Web
    users: list[str] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    loses_answers: bool = False
    crowd: dict[str, float] = field(default_factory=dict)
    starting: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def client(self) -> JupyterHub:
        """The adapter, which waits for nothing long."""
        http = HttpClient("JupyterHub", f"{self.web.url}/hub/api", retry=Retry(attempts=3, first_s=0.001))
        return JupyterHub(http, url="https://hub.example.org", quiet_s=0.5)

    def await_starting(self, count: int) -> None:
        """Wait until *count* starts are followed at the same time."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.starting >= count, timeout=60), f"only {self.starting}"

    def answer(self, reply: Reply) -> None:
        path = reply.path.removeprefix("/hub/api/")
        if path.startswith("users?"):
            return self._list(reply, parse_qs(urlsplit(path).query))
        _, name, *rest = path.split("/")
        refusal = self.refusals.get("server" if rest else "user")
        if reply.command == "POST" and refusal is not None:
            return reply.send(refusal[0], json.dumps({"status": refusal[0], "message": refusal[1]}).encode())
        match reply.command, rest:
            case "GET", ["server", "progress"]:
                self._progress(reply, name)
            case "GET", _:
                self._tell_user(reply, name)
            case "POST", []:
                self._create(reply, name)
            case "POST", _:
                self._start(reply, name)
            case _:
                self.deleted.append("/".join([name, *rest]))
                if not rest:
                    self.crowd.pop(name, None)
                reply.send(204)

    def _list(self, reply: Reply, query: dict[str, list[str]]) -> None:
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        # In one step, since others are deleted meanwhile.
        crowd = list(self.crowd.items())
        items = [_model(name, last_used) for name, last_used in crowd[offset : offset + limit]]
        following = {"offset": offset + limit} if offset + limit < len(crowd) else None
        reply.send(200, json.dumps({"items": items, "_pagination": {"next": following}}).encode())

    def _create(self, reply: Reply, name: str) -> None:
        with self.changed:
            new = name not in self.users
            if new:
                self.users.append(name)
        reply.send(201 if new else 409)

    def _start(self, reply: Reply, name: str) -> None:
        with self.changed:
            new = name not in self.servers
            if new:
                self.servers.append(name)
        status = 503 if self.loses_answers and new else 202 if new else 400
        reply.send(status, json.dumps({"message": f"{name} is already running"}).encode())

    def _progress(self, reply: Reply, name: str) -> None:
        reply.send_response(200)
        reply.send_header("Transfer-Encoding", "chunked")
        reply.end_headers()
        with self.changed:
            self.starting += 1
            self.changed.notify_all()
        reply.chunk(b'data: {"progress": 0, "message": "Server requested"}\n\n')
        self.go.wait(60)
        with self.changed:
            self.starting -= 1
        reply.chunk(b'data: {"progress": 100, "ready": true, "message": "Server ready"}\n\n')
        reply.chunk(b"")

    def _tell_user(self, reply: Reply, name: str) -> None:
        if name not in self.users:
            return reply.send(404)
        ready = self.go.is_set()
        server = {"ready": ready, "pending": None if ready else "spawn", "url": f"/user/{name}/"}
        servers = {"": server} if name in self.servers else {}
        reply.send(200, json.dumps({"name": name, "servers": servers}).encode())


def _model(name: str, last_used: float) -> dict[str, Any]:
    """A user as JupyterHub tells of one."""
    time = datetime.fromtimestamp(last_used, UTC).isoformat().replace("+00:00", "Z")
    server = {
        "name": "",
        "ready": True,
        "pending": None,
        "url": f"/user/{name}/",
        "started": time,
        "last_activity": time,
        "user_options": {"image": f"registry.example.org/{name}:1", "binder_request": "v2/gh/owner/plots/main"},
    }
    return {"name": name, "admin": False, "created": time, "last_activity": time, "servers": {"": server}}


@contextmanager
def stub_hub() -> Iterator[StubHub]:
    with web_server() as web:
        hub = StubHub(web)
        web.answer = hub.answer
        try:
            yield hub
        finally:
            hub.go.set()
