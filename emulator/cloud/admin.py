"""What tests and people steer at run time, over HTTP with the admin token: faults, and jobs run now."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from aiohttp import web

from emulator.cloud.builds.switches import BuildFaults
from emulator.cloud.builds.switches import Switches as BuildSwitches
from emulator.cloud.pubsub.faults import Faults, Switches
from emulator.cloud.scheduler import Scheduler

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """The /admin/ addresses."""

    def __init__(self, token: str, faults: Faults, scheduler: Scheduler, builds: BuildFaults | None) -> None:
        self._expected = f"Bearer {token}".encode()
        self._faults = faults
        self._builds = builds
        self._scheduler = scheduler

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/admin/pubsub/faults", self._guarded(self._get_faults)),
            web.put("/admin/pubsub/faults", self._guarded(self._put_faults)),
            web.get("/admin/builds/faults", self._guarded(self._get_build_faults)),
            web.put("/admin/builds/faults", self._guarded(self._put_build_faults)),
            web.post("/admin/scheduler/jobs/{name}:run", self._guarded(self._run_job)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, self._expected):
                return web.json_response(
                    {"error": "the admin token is required"},
                    status=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
            return await handler(request)

        return guarded

    async def _get_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self._faults.state())

    async def _put_faults(self, request: web.Request) -> web.Response:
        try:
            self._faults.set(Switches.parse(json.loads(await request.text())))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(self._faults.state())

    async def _get_build_faults(self, _request: web.Request) -> web.Response:
        if self._builds is None:
            return web.json_response({"error": "this cloud builds nothing"}, status=404)
        return web.json_response(self._builds.state())

    async def _put_build_faults(self, request: web.Request) -> web.Response:
        if self._builds is None:
            return web.json_response({"error": "this cloud builds nothing"}, status=404)
        try:
            self._builds.set(BuildSwitches.parse(json.loads(await request.text())))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(self._builds.state())

    async def _run_job(self, request: web.Request) -> web.Response:
        """Answers when the run has ended."""
        job = self._scheduler.job(request.match_info["name"])
        if job is None:
            return web.json_response({"error": "no such job"}, status=404)
        return web.json_response(asdict(await self._scheduler.run(job)))
