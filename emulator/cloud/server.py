"""Composes the parts into one process: three listeners, one event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from emulator.cloud.access_tokens import AccessTokens
from emulator.cloud.admin import Admin
from emulator.cloud.builds.settings import BuildSettings
from emulator.cloud.builds.switches import BuildFaults
from emulator.cloud.credentials import Credentials
from emulator.cloud.githost import GitHost
from emulator.cloud.identity import Identity
from emulator.cloud.metadata import MetadataServers
from emulator.cloud.pubsub import rpc
from emulator.cloud.pubsub.broker import Broker
from emulator.cloud.pubsub.faults import Faults
from emulator.cloud.pubsub.push import Pusher
from emulator.cloud.pubsub.store import Store
from emulator.cloud.registry.application import registry
from emulator.cloud.schedule import Job
from emulator.cloud.scheduler import Scheduler

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
STOP_GRACE_S = 2.0


class PortTaken(Exception):
    """Somebody else listens on the port that was asked for."""

    def __init__(self, flag: str, port: int) -> None:
        super().__init__(f"port {port} is taken; give {flag} another one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Zero asks for any free port."""

    pubsub: int
    registry: int
    http: int


@asynccontextmanager
async def serving(
    state: Path,
    ports: Ports,
    credentials: Credentials,
    *,
    jobs: Sequence[Job] = (),
    builds: BuildSettings | None = None,
    allow_anonymous: bool = False,
) -> AsyncIterator[Ports]:
    """Serve everything until the context ends; yields the ports, all of them listening. Without *builds* there is no
    Cloud Build."""
    folder = state / "cloud"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / "git").mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(_outgoing())
        identity = Identity(folder)
        faults = Faults()
        pubsub_port, broker = await _serve_pubsub(
            stack, folder, ports.pubsub, identity, faults, outgoing,
            guards=[] if allow_anonymous else [rpc.Guard(credentials.pubsub_token)],
        )  # fmt: skip
        tokens = AccessTokens(folder)
        registry_port = await _listen(
            stack,
            registry(folder / "registry", credentials.registry, tokens.account),
            "--registry-port",
            ports.registry,
        )
        scheduler = Scheduler(jobs, identity.token, outgoing)
        stack.push_async_callback(scheduler.close)
        build_faults = BuildFaults() if builds else None
        routes = [
            *Admin(credentials.admin_token, faults, scheduler, build_faults).routes(),
            *GitHost(state / "git").routes(),
            *MetadataServers(credentials.machines, tokens).routes(),
        ]
        if builds is not None and build_faults is not None:
            routes += await _cloud_build(stack, folder, builds, build_faults, broker, outgoing)
        # The last to listen: its health address speaks for all three.
        http_port = await _listen(stack, _http(identity, routes), "--http-port", ports.http)
        scheduler.start()
        yield Ports(pubsub=pubsub_port, registry=registry_port, http=http_port)


def _outgoing() -> aiohttp.ClientSession:
    """For pushes and jobs: without cookies and proxies, and with a connection for each that is under way."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=5), cookie_jar=aiohttp.DummyCookieJar()
    )


async def _serve_pubsub(
    stack: AsyncExitStack,
    folder: Path,
    port: int,
    identity: Identity,
    faults: Faults,
    outgoing: aiohttp.ClientSession,
    *,
    guards: Sequence[rpc.Guard],
) -> tuple[int, Broker]:
    store = Store(folder / "pubsub.sqlite")
    stack.callback(store.close)
    broker = Broker(store, faults, time.time)
    pusher = Pusher(broker, identity.token, outgoing)
    stack.push_async_callback(pusher.close)
    server = rpc.make_server(broker, pusher, guards)
    try:
        bound = int(server.add_insecure_port(f"{HOST}:{port}"))
    except RuntimeError as error:
        raise PortTaken("--pubsub-port", port) from error
    await server.start()
    stack.push_async_callback(server.stop, grace=STOP_GRACE_S)
    for subscription in broker.subscriptions():
        pusher.watch(subscription.name)
    return bound, broker


async def _cloud_build(
    stack: AsyncExitStack,
    folder: Path,
    settings: BuildSettings,
    faults: BuildFaults,
    broker: Broker,
    outgoing: aiohttp.ClientSession,
) -> Sequence[web.RouteDef]:
    # Only a cloud that builds pays for it.
    from emulator.cloud.builds.serving import building

    return await stack.enter_async_context(building(folder, settings, faults, broker, outgoing))


def _http(identity: Identity, routes: Sequence[web.RouteDef]) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def certificates(_request: web.Request) -> web.Response:
        return web.json_response(identity.certificates(), headers={"Cache-Control": "public, max-age=300"})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/oauth2/v1/certs", certificates)])
    app.add_routes(routes)
    return app


async def _listen(stack: AsyncExitStack, app: web.Application, flag: str, port: int) -> int:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_GRACE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        raise PortTaken(flag, port) from error
    return int(runner.addresses[0][1])
