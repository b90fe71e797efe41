"""JupyterHub by its REST API: users, and their servers.

https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote

from functions.adapters.http import Answer, HttpClient, retry_after_s
from functions.core.errors import LaunchFailed, RateLimited, UpstreamError
from functions.core.ports import HubProgress, HubServer, HubUser, UserPage

PAGINATED = {"Accept": "application/jupyterhub-pagination+json"}
_PAGE = 200
# How long a Hub is taken to be busy that does not say it.
BUSY_S = 10.0
# What asking again will not change: 4xx, but for those that ask for patience, and a user that has just gone.
REFUSALS = frozenset(range(400, 500)) - {404, 408, 423, 425, 429}


class JupyterHub:
    """A Hub behind *client*, whose base address ends in /hub/api and whose headers carry the service's token.

    *url* is the Hub's address for people: user servers are below it.
    """

    def __init__(self, client: HttpClient, *, url: str, quiet_s: float = 10.0) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._quiet_s = quiet_s

    def create_user(self, name: str) -> None:
        # 409: the user is there, perhaps from an attempt whose answer was lost.
        answer = self._client.request("POST", _path(name), expect={201, *REFUSALS}, repeatable=True)
        if answer.status not in (201, 409):
            raise LaunchFailed(f"JupyterHub did not create a user: {_message(answer)}")

    def start_server(self, user: str, options: Mapping[str, str]) -> None:
        answer = self._client.request(
            "POST",
            _path(user, "server"),
            json=dict(options),
            # A busy Hub is not waited for: others may be before this user.
            expect={201, 202, 429, *REFUSALS},
            repeatable=True,
        )
        if answer.status in (201, 202):
            return
        if answer.status == 429:
            raise RateLimited("JupyterHub", retry_after_s=retry_after_s(answer.headers) or BUSY_S)
        # 400 may also mean that the server is there, perhaps from an attempt whose answer was lost.
        there = self.user(user) if answer.status == 400 else None
        if there is None or there.server is None:
            raise LaunchFailed(f"JupyterHub did not start the server: {_message(answer)}")
        if there.server.pending == "stop":
            raise UpstreamError("JupyterHub", "is still stopping this user's last server.")

    def user(self, name: str) -> HubUser | None:
        answer = self._client.request("GET", _path(name), expect=(200, 404))
        return _user(answer.json()) if answer.status == 200 else None

    def progress(self, user: str) -> Iterator[HubProgress | None]:
        # 404 and 400: there is no server, or it is not starting. That the start failed comes as an event.
        with self._client.stream_lines(
            "GET", _path(user, "server", "progress"), expect=(200, 400, 404), quiet_s=self._quiet_s
        ) as lines:
            if lines.status == 200:
                yield from _events(lines)

    def stop_server(self, user: str) -> None:
        self._client.request("DELETE", _path(user, "server"), expect=(202, 204, 404))

    def delete_user(self, user: str) -> None:
        # The Hub answers 500 to the deletion of a user whose server is starting, and 400 while it is stopping.
        self.stop_server(user)
        answer = self._client.request("DELETE", _path(user), expect=(204, 400, 404))
        if answer.status == 400:
            raise UpstreamError("JupyterHub", f"did not delete the user: {_message(answer)}")

    def users(self, offset: int = 0) -> UserPage:
        path = f"users?offset={offset}&limit={_PAGE}"
        return _page(self._client.request("GET", path, headers=PAGINATED).json())

    def server_url(self, user: str) -> str:
        return f"{self._url}/user/{quote(user, safe='@~')}/"

    def healthy(self) -> bool:
        try:
            return self._client.request("GET", "health").status == 200
        except UpstreamError:
            return False


def _path(user: str, *rest: str) -> str:
    # Dots too: a user called ".." would be another address.
    return "/".join(("users", quote(user, safe="").replace(".", "%2E"), *rest))


def _message(answer: Answer) -> str:
    """The Hub's own words."""
    try:
        return str(json.loads(answer.body)["message"])[:500]
    except (KeyError, RecursionError, TypeError, ValueError):
        return f"it answered {answer.status}."


def _events(lines: Iterable[str | None]) -> Iterator[HubProgress | None]:
    """What a progress stream tells, up to its end; blank lines keep it alive."""
    for line in lines:
        event = _event(line) if line else None
        yield event
        if event and (event.ready or event.failed):
            return


def _event(line: str) -> HubProgress | None:
    field, _, value = line.partition(":")
    if field != "data":
        return None
    try:
        event: dict[str, Any] = json.loads(value)
        return HubProgress(
            message=str(event.get("message", "")), ready=bool(event.get("ready")), failed=bool(event.get("failed"))
        )
    except (AttributeError, RecursionError, ValueError) as error:
        raise _unreadable("progress") from error


def _page(body: Any) -> UserPage:
    try:
        following, models = body["_pagination"]["next"], list(body["items"])
        next_offset = int(following["offset"]) if following else None
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable("users") from error
    users = []
    for model in models:
        # One that cannot be read does not hide the others.
        with suppress(UpstreamError):
            users.append(_user(model))
    return UserPage(users=users, next_offset=next_offset, unreadable=len(models) - len(users))


def _user(model: Any) -> HubUser:
    try:
        server = (model.get("servers") or {}).get("")
        return HubUser(
            name=model["name"],
            admin=bool(model.get("admin")),
            created_at=_time(model.get("created")),
            last_activity=_time(model.get("last_activity")),
            server=_server(server) if server else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable("a user") from error


def _server(model: Mapping[str, Any]) -> HubServer:
    return HubServer(
        ready=bool(model.get("ready")),
        pending=model.get("pending"),
        url=str(model.get("url", "")),
        last_activity=_time(model.get("last_activity")),
        started_at=_time(model.get("started")),
        repo=_repo(model.get("user_options")),
    )


def _repo(options: Any) -> str:
    """What the server was launched from, as its options tell (`functions.core.server_options`)."""
    request = options.get("binder_request", "") if isinstance(options, Mapping) else ""
    return str(request).removeprefix("v2/")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _unreadable(what: str) -> UpstreamError:
    return UpstreamError("JupyterHub", f"sent {what} in a form that we cannot read.")
