"""A Cloud Build and a Cloud Storage that answer as a test says, in the shapes of their REST references.

https://cloud.google.com/build/docs/api/reference/rest/v1/projects.locations.builds
https://cloud.google.com/storage/docs/xml-api/get-object-download
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.web import Reply, Web

PARENT = "/v1/projects/p1/locations/l1/builds"


def build_id(number: int) -> str:
    """An id as Cloud Build gives them."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def a_build(number: int, status: str = "WORKING", **fields: Any) -> dict[str, Any]:
    """A build as it is answered; a higher number is a later one."""
    created = f"2026-01-01T12:00:{number:02d}.123456789Z"
    return {"id": build_id(number), "status": status, "createTime": created, "timeout": "3600s", **fields}


@dataclass
class CloudBuildFake:
    """`builds` is what lists tell, unless one of `lists` is left, which is told first. `creates` are statuses that the
    next creates get instead of being done; `log` is the log of any build, `log_status` what is answered instead."""

    builds: list[dict[str, Any]] = field(default_factory=list)
    lists: list[list[dict[str, Any]] | int] = field(default_factory=list)
    creates: list[int] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    refusal: int = 0
    log: bytes = b""
    log_status: int = 0
    knows_ranges: bool = True

    def __call__(self, reply: Reply) -> None:
        url = urlsplit(reply.path)
        if url.path.endswith(".txt"):
            self._read(reply)
        elif self.refusal:
            self._refuse(reply, self.refusal)
        elif url.path == PARENT and reply.command == "POST":
            self._create(reply)
        elif url.path == PARENT:
            self._list(reply, parse_qs(url.query).get("filter", [""])[0])
        elif url.path.endswith(":cancel"):
            self._cancel(reply, url.path.removesuffix(":cancel").rpartition("/")[2])
        else:
            self._get(reply, url.path.rpartition("/")[2])

    def _create(self, reply: Reply) -> None:
        if self.creates:
            return self._refuse(reply, self.creates.pop(0))
        self.created.append(json.loads(reply.web.seen[-1].body))
        made = a_build(50 + len(self.created), "QUEUED")
        self.builds.append(made)
        kind = "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata"
        return _send(reply, 200, {"name": "operations/build/p1/x", "metadata": {"@type": kind, "build": made}})

    def _list(self, reply: Reply, text: str) -> None:
        self.filters.append(text)
        listed = self.lists.pop(0) if self.lists else self.builds
        if isinstance(listed, int):
            return self._refuse(reply, listed)
        return _send(reply, 200, {"builds": listed} if "SUCCESS" not in text else {})

    def _get(self, reply: Reply, wanted: str) -> None:
        found = [build for build in self.builds if build["id"] == wanted]
        if found:
            _send(reply, 200, found[0])
        else:
            self._refuse(reply, 404)

    def _cancel(self, reply: Reply, wanted: str) -> None:
        self.cancelled.append(wanted)
        found = [build for build in self.builds if build["id"] == wanted]
        if found and found[0]["status"] in ("QUEUED", "WORKING"):
            found[0]["status"] = "CANCELLED"
            _send(reply, 200, found[0])
        else:
            self._refuse(reply, 400 if found else 404)

    def _read(self, reply: Reply) -> None:
        asked = reply.web.seen[-1].headers["range"].removeprefix("bytes=")
        first, _, last = asked.partition("-")
        part = self.log[int(first) : int(last) + 1] if first else self.log[-int(last) :]
        if self.log_status:
            reply.send(self.log_status)
        elif not self.knows_ranges:
            reply.send(200, self.log)
        elif not part:
            reply.send(416)
        else:
            reply.send(206, part)

    def _refuse(self, reply: Reply, status: int) -> None:
        _send(reply, status, {"error": {"code": status, "message": "in Google's words", "status": "X"}})


def _send(reply: Reply, status: int, body: Any) -> None:
    reply.send(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def connect(web: Web) -> CloudBuildFake:
    """Let *web* be a Cloud Build and its Cloud Storage."""
    fake = CloudBuildFake()
    web.answer = fake
    return fake
