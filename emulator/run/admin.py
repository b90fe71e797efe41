"""The runtime's own address: health for everybody, instances and their ends for who has the token."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from emulator.run.instance import Instance
from emulator.run.service import Service

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """Answers for *services*; everything but the health asks for *token*."""

    def __init__(self, services: Mapping[str, Service], *, token: str) -> None:
        self._services = services
        self._token = token

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._authorize])
        application.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/instances", self._list),
                web.post(r"/instances/{pid:\d{1,10}}:kill", self._kill),
                web.post("/functions/{name}:scale-to-zero", self._scale_to_zero),
            ]
        )
        return application

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if request.path != "/healthz" and not hmac.compare_digest(sent, f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"instances": [_shown(name, each) for name, each in self._instances()]})

    async def _kill(self, request: web.Request) -> web.Response:
        pid = int(request.match_info["pid"])
        for _, instance in self._instances():
            if instance.pid == pid:
                instance.kill()
                await instance.exited.wait()
                return web.json_response({})
        raise web.HTTPNotFound(text="no such instance\n")

    async def _scale_to_zero(self, request: web.Request) -> web.Response:
        service = self._services.get(request.match_info["name"])
        if service is None:
            raise web.HTTPNotFound(text="no such function\n")
        await service.scale_to_zero()
        return web.json_response({})

    def _instances(self) -> Iterable[tuple[str, Instance]]:
        return [(name, each) for name, service in self._services.items() for each in service.instances]


def _shown(function: str, instance: Instance) -> dict[str, Any]:
    started = time.time() - (time.monotonic() - instance.started)
    return {
        "function": function,
        "pid": instance.pid,
        "state": instance.state,
        "in_flight": instance.in_flight,
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        "requests_served": instance.requests_served,
    }
