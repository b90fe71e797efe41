"""The services behind a hub, as stubs in a process of their own that count what they are asked: a git host, a registry,
the Kubernetes API with builds that write a log, and a Hub that takes no more than 64 starts at once.

`python -m benchmarks.crowd_services --port N`; `/stub/counts` tells the counts, `/stub/build?lines=…&seconds=…` how the
next builds go. Everything is in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from functions.core.gitrefs import FLUSH, pkt_line

# zero-to-jupyterhub's c.JupyterHub.concurrent_spawn_limit
MOST_STARTING = 64
START_S = 2.0
SHA = "a" * 40


@dataclass
class Build:
    """A job that writes *lines* lines evenly over *seconds* seconds and then ends well."""

    image: str
    lines: int
    seconds: float
    begun: float = field(default_factory=time.time)

    @property
    def over(self) -> bool:
        return time.time() >= self.begun + self.seconds

    def log(self, since: float) -> str:
        """The lines written so far, from the second *since* on, with their times as the kubelet gives them."""
        pause = self.seconds / max(1, self.lines)
        written = min(self.lines, int((time.time() - self.begun) / pause) + 1)
        times = (self.begun + number * pause for number in range(written))
        return "".join(
            f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}000Z {_line(number, at)}\n"
            for number, at in enumerate(times)
            if at >= since
        )


def _line(number: int, at: float) -> str:
    return json.dumps({"phase": "building", "message": f"line {number} at {at:.3f}\n"})


@dataclass
class Services:
    """All four. `told` counts requests by service and what they asked for."""

    told: Counter[str] = field(default_factory=Counter)
    builds: dict[str, Build] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    users: dict[str, float] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    starting: deque[float] = field(default_factory=deque)
    delay_s: float = 0.0
    plan: dict[str, float] = field(default_factory=lambda: {"lines": 100, "seconds": 10})
    most_starting: int = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/stub/counts", self._counts)
        app.router.add_get("/stub/build", self._plan)
        app.router.add_get("/stub/delay", self._delay)
        app.router.add_get("/{owner}/{name}/info/refs", self._counted("git refs", self._refs))
        app.router.add_route("*", "/v2/{name:.+}/manifests/{tag}", self._counted("registry lookup", self._manifest))
        jobs, pods = "/apis/batch/v1/namespaces/{space}/jobs", "/api/v1/namespaces/{space}/pods"
        app.router.add_post(jobs, self._counted("build submit", self._submit))
        app.router.add_get(f"{jobs}/{{job}}", self._counted("build status", self._job))
        app.router.add_get(pods, self._counted("build pods", self._pods))
        app.router.add_get(f"{pods}/{{pod}}/log", self._counted("build log", self._log))
        user = "/hub/api/users/{user}"
        app.router.add_post(user, self._counted("hub create user", self._create))
        app.router.add_get(user, self._counted("hub user", self._user))
        app.router.add_post(f"{user}/server", self._counted("hub start", self._start))
        app.router.add_get(f"{user}/server/progress", self._counted("hub progress", self._progress))
        return app

    def _counted(
        self, what: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def counted(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(self.delay_s)
            answer = await handler(request)
            self.told[what if answer.status < 400 or answer.status == 404 else f"{what}: {answer.status}"] += 1
            return answer

        return counted

    async def _counts(self, request: web.Request) -> web.Response:
        counts = dict(self.told)
        self.told.clear()
        most, self.most_starting = self.most_starting, 0
        started = list(self.started)
        self.started.clear()
        return web.json_response({"counts": counts, "most_starting": most, "started": started})

    async def _plan(self, request: web.Request) -> web.Response:
        self.plan = {name: float(value) for name, value in request.query.items()}
        return web.json_response(self.plan)

    async def _delay(self, request: web.Request) -> web.Response:
        self.delay_s = float(request.query["seconds"])
        return web.json_response({})

    async def _refs(self, request: web.Request) -> web.Response:
        first = f"{SHA} HEAD\0symref=HEAD:refs/heads/main agent=stub\n".encode()
        lines = (pkt_line(b"# service=git-upload-pack\n"), FLUSH, pkt_line(first))
        body = b"".join((*lines, pkt_line(f"{SHA} refs/heads/main\n".encode()), FLUSH))
        return web.Response(body=body, content_type="application/x-git-upload-pack-advertisement")

    async def _manifest(self, request: web.Request) -> web.Response:
        image = f"{request.match_info['name']}:{request.match_info['tag']}"
        if image not in self.images:
            return web.Response(status=404)
        digest = f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
        return web.Response(headers={"Docker-Content-Digest": digest})

    async def _submit(self, request: web.Request) -> web.Response:
        job = await request.json()
        name = job["metadata"]["name"]
        if name in self.builds:
            return web.json_response({"kind": "Status", "code": 409, "message": "exists"}, status=409)
        image = job["metadata"]["annotations"]["binderless.image"].partition("/")[2]
        self.builds[name] = Build(image, int(self.plan["lines"]), self.plan["seconds"])
        return web.json_response(job, status=201)

    async def _job(self, request: web.Request) -> web.Response:
        name = request.match_info["job"]
        build = self.builds.get(name)
        if build is None:
            return web.json_response({"kind": "Status", "code": 404, "message": "none"}, status=404)
        status: dict[str, Any] = {"active": 1}
        if build.over:
            self.images.add(build.image)
            ended = datetime.fromtimestamp(build.begun + build.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            condition = {"type": "Complete", "status": "True", "lastTransitionTime": ended}
            status = {"succeeded": 1, "completionTime": ended, "conditions": [condition]}
        metadata = {"name": name, "labels": {"component": "binderless-build"}}
        return web.json_response({"metadata": metadata, "spec": {}, "status": status})

    async def _pods(self, request: web.Request) -> web.Response:
        job = request.query.get("labelSelector", "").removeprefix("job-name=")
        pods = [{"metadata": {"name": f"{job}-0", "labels": {"job-name": job}}, "status": {"phase": "Running"}}]
        return web.json_response({"metadata": {}, "items": pods if job in self.builds else []})

    async def _log(self, request: web.Request) -> web.Response:
        build = self.builds[request.match_info["pod"].removesuffix("-0")]
        since = request.query.get("sinceTime", "1970-01-01T00:00:00Z")
        return web.Response(text=build.log(datetime.fromisoformat(since).timestamp()))

    async def _create(self, request: web.Request) -> web.Response:
        return web.json_response({}, status=201)

    async def _start(self, request: web.Request) -> web.Response:
        user, now = request.match_info["user"], time.monotonic()
        while self.starting and self.starting[0] <= now:
            self.starting.popleft()
        if len(self.starting) >= MOST_STARTING:
            return web.json_response({"message": "Too many"}, status=429, headers={"Retry-After": "2"})
        if user not in self.users:
            self.users[user] = now + START_S
            self.started.append(user)
            self.starting.append(now + START_S)
            self.most_starting = max(self.most_starting, len(self.starting))
        return web.json_response({}, status=202)

    async def _user(self, request: web.Request) -> web.Response:
        user = request.match_info["user"]
        if user not in self.users:
            return web.json_response({"name": user, "servers": {}})
        ready = time.monotonic() >= self.users[user]
        server = {"ready": ready, "pending": None if ready else "spawn", "url": f"/user/{user}/"}
        return web.json_response({"name": user, "servers": {"": server}})

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b'data: {"progress": 0, "message": "Server requested"}\n\n')
        await asyncio.sleep(max(0.0, self.users.get(request.match_info["user"], 0.0) - time.monotonic()))
        await answer.write(b'data: {"progress": 100, "ready": true, "message": "Server ready"}\n\n')
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    web.run_app(Services().application(), host="127.0.0.1", port=parser.parse_args().port, print=None, access_log=None)


if __name__ == "__main__":
    main()
