"""The registry as an application, to be served alone or beside the rest of the cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

from emulator.cloud.registry.access import Access, User
from emulator.cloud.registry.api import RegistryApi
from emulator.cloud.registry.storage import Storage
from emulator.cloud.registry.uploads import Uploads


def registry(
    folder: Path, users: Mapping[str, User], account_of: Callable[[str], str] = lambda _token: ""
) -> web.Application:
    """The registry whose images are in *folder*. *account_of* tells whose an access token is, empty for nobody's."""
    api = RegistryApi(Storage(folder), Uploads(folder / "uploads"), Access(users, account_of))
    app = web.Application()
    app.router.add_get("/healthz", _healthz)
    app.router.add_route("*", "/{path:.*}", api.handle)
    return app


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")
