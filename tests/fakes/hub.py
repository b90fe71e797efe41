"""A Hub whose servers start when somebody follows their progress, or when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from functions.core.errors import BinderError, LaunchFailed, UpstreamError
from functions.core.ports import HubProgress, HubServer, HubUser, UserPage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeHub:
    """Records what it did: `created`, `started` (user and options), `stopped`, `deleted`.

    `errors` are raised, one a call, before anything is done. The start of a server with the option `slow` takes
    until `make_ready`, one with the option `fail` ends with that failure, and so do the next `losses` starts. `page`
    is how many users a page holds; *now* is when users are created and servers started.
    """

    def __init__(self, url: str = "https://hub.example.org", now: Callable[[], datetime] = lambda: NOON) -> None:
        self.url, self._time = url, now
        self.created: list[str] = []
        self.started: list[tuple[str, dict[str, str]]] = []
        self.stopped: list[str] = []
        self.deleted: list[str] = []
        self.errors: list[BinderError] = []
        self.losses = 0
        self.page = 100
        self._users: dict[str, HubUser] = {}
        self._options: dict[str, Mapping[str, str]] = {}
        self._failures: dict[str, str] = {}

    def create_user(self, name: str) -> None:
        self._answer()
        if "/" in name:
            raise LaunchFailed(f"JupyterHub did not create a user: Failed to create user: {name}")
        if name not in self._users:
            self.created.append(name)
            self._users[name] = HubUser(name=name, created_at=self._time(), last_activity=self._time())

    def start_server(self, user: str, options: Mapping[str, str]) -> None:
        self._answer()
        if user not in self._users:
            raise UpstreamError("JupyterHub", f"answered 404 to POST /users/{user}/server.")
        if self._users[user].server is None:
            self.started.append((user, dict(options)))
            self._options[user] = dict(options)
            self._failures.pop(user, None)
            self.set_server(user, self._server(user, ready=False))

    def user(self, name: str) -> HubUser | None:
        self._answer()
        return self._users.get(name)

    def progress(self, user: str) -> Iterator[HubProgress | None]:
        self._answer()
        if self._is_pending(user):
            yield HubProgress(message="Server requested")
            yield None
            while self._is_pending(user) and "slow" in self._options[user]:
                yield None
            if self._is_pending(user):
                self._finish_start(user)
        known = self._users.get(user)
        if known and known.server and known.server.ready:
            yield HubProgress(message=f"Server ready at /user/{user}/", ready=True)
        elif user in self._failures:
            yield HubProgress(message=f"Spawn failed: {self._failures[user]}", failed=True)

    def stop_server(self, user: str) -> None:
        self._answer()
        if user in self._users and self._users[user].server:
            self.stopped.append(user)
            self.set_server(user, None)

    def delete_user(self, user: str) -> None:
        self.stop_server(user)
        if self._users.pop(user, None):
            self.deleted.append(user)

    def users(self, offset: int = 0) -> UserPage:
        self._answer()
        users = [*self._users.values()]
        end = offset + self.page
        return UserPage(users=users[offset:end], next_offset=end if end < len(users) else None)

    def server_url(self, user: str) -> str:
        return f"{self.url}/user/{user}/"

    def healthy(self) -> bool:
        return not self.errors

    def make_ready(self, user: str) -> None:
        """End the start of the user's server."""
        self.set_server(user, self._server(user, ready=True))

    def set_server(self, user: str, server: HubServer | None) -> None:
        """Give the user this server, or none."""
        self._users[user] = replace(self._users[user], server=server)

    def add_user(self, user: HubUser) -> None:
        """Let there be this user, as if it had always been there."""
        self._users[user.name] = user

    def _server(self, user: str, *, ready: bool) -> HubServer:
        repo = self._options.get(user, {}).get("binder_request", "").removeprefix("v2/")
        pending = None if ready else "spawn"
        return HubServer(ready=ready, pending=pending, url=f"/user/{user}/", started_at=self._time(), repo=repo)

    def _finish_start(self, user: str) -> None:
        if self.losses or "fail" in self._options[user]:
            self._failures[user] = self._options[user].get("fail", "Its machine is gone.")
            self.losses = max(0, self.losses - 1)
            self.set_server(user, None)
        else:
            self.make_ready(user)

    def _is_pending(self, user: str) -> bool:
        known = self._users.get(user)
        return bool(known and known.server and known.server.pending == "spawn")

    def _answer(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
