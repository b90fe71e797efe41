"""Configuration of the real JupyterHub that the contract of Hub is tried on: no proxy, servers inside its process.

user_options steer a start: `fail` is a message to fail with, `slow` never ends, `slow_stop` takes a while to stop.
"""

import asyncio
import os
from typing import Any

from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


class NoProxy(Proxy):  # type: ignore[misc]
    """Remembers routes and serves none: the tests talk to the Hub itself."""

    should_start = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.routes: dict[str, dict[str, Any]] = {}

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        return self.routes


class Anything(RequestHandler):
    def get(self) -> None:
        self.write("a notebook server, more or less")


class InsideSpawner(Spawner):  # type: ignore[misc]
    """Starts a web server in the Hub's own process."""

    listener: HTTPServer | None = None

    async def start(self) -> tuple[str, int]:
        if "fail" in self.user_options:
            error = RuntimeError(self.user_options["fail"])
            error.jupyterhub_message = self.user_options["fail"]  # type: ignore[attr-defined]
            raise error
        if "slow" in self.user_options:
            await asyncio.Event().wait()
        sockets = bind_sockets(0, "127.0.0.1")
        self.listener = HTTPServer(Application([(".*", Anything)]))
        self.listener.add_sockets(sockets)
        return "127.0.0.1", sockets[0].getsockname()[1]

    async def stop(self, now: bool = False) -> None:
        if "slow_stop" in self.user_options:
            await asyncio.sleep(1)
        if self.listener:
            self.listener.stop()
        self.listener = None

    async def poll(self) -> int | None:
        return None if self.listener else 0


c = get_config()  # type: ignore[name-defined] # noqa: F821
c.JupyterHub.hub_bind_url = os.environ["TEST_HUB_URL"]
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.spawner_class = InsideSpawner
c.JupyterHub.concurrent_spawn_limit = 4
c.JupyterHub.tornado_settings = {
    "slow_spawn_timeout": 0,
    "slow_stop_timeout": 0,
    "spawn_throttle_retry_range": (30, 30),
}
c.JupyterHub.services = [{"name": "binder", "api_token": os.environ["TEST_HUB_TOKEN"]}]
c.JupyterHub.load_roles = [{"name": "binder", "services": ["binder"], "scopes": ["servers", "admin:users"]}]
