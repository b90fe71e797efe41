"""The server as a process: its parts put together, started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from aiohttp import web

from emulator.kube import certificate
from emulator.kube.authentication import Tokens
from emulator.kube.cluster import Cluster
from emulator.kube.controllers import Controller, Loop
from emulator.kube.controllers.claims import Claims, create_local_class
from emulator.kube.controllers.endpoints import Endpoints
from emulator.kube.controllers.events import ForgetEvents
from emulator.kube.controllers.garbage import Garbage
from emulator.kube.controllers.jobs import Jobs
from emulator.kube.controllers.namespaces import Namespaces, create_first_namespaces
from emulator.kube.controllers.nodes import Nodes
from emulator.kube.controllers.scheduler import Scheduler
from emulator.kube.controllers.taints import Taints
from emulator.kube.journal import Journal, Writer
from emulator.kube.server import Server
from emulator.kube.store import Store

log = logging.getLogger(__name__)

# Open watches are cut off after this; what was accepted is written in any case.
GOODBYE_S = 0.5
# The command of an exec is part of the address.
LONGEST_REQUEST_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve. Ports of 0 are free ones; without `tls_port` there is no TLS.

    `tls_context` returns the settings of TLS; without it they are those of the certificate in the state folder.
    """

    port: int
    state: Path
    tokens: Tokens
    tls_port: int | None = None
    job_backoff: timedelta = timedelta(seconds=10)
    tls_context: Callable[[], ssl.SSLContext] | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: the ports it took, and its cluster."""

    port: int
    tls_port: int | None
    cluster: Cluster


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Serve within the context."""
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    journal = Journal(settings.state / "objects.sqlite")
    store = Store(clock_us=lambda: time.time_ns() // 1000)
    store.restore(journal.load(), newest=journal.newest_version())
    writer = Writer(journal)
    store.listen(writer.note)
    cluster = Cluster(store)
    try:
        create_first_namespaces(cluster)
        create_local_class(cluster)
        loop = Loop(cluster, controllers(cluster, job_backoff=settings.job_backoff))
        async with _tasks(writer.run(), loop.run()), _sites(settings, cluster) as ports:
            yield Running(*ports, cluster)
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def _sites(settings: Settings, cluster: Cluster) -> AsyncIterator[tuple[int, int | None]]:
    app = Server(cluster, settings.tokens).app()
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=GOODBYE_S,
        max_line_size=LONGEST_REQUEST_LINE_BYTES,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", settings.port).start()
        if settings.tls_port is not None:
            # The first time one is made, which takes a while: the plain port answers meanwhile.
            tls = await asyncio.to_thread(settings.tls_context or partial(certificate.context, settings.state))
            await web.TCPSite(runner, "127.0.0.1", settings.tls_port, ssl_context=tls).start()
        ports = [int(address[1]) for address in runner.addresses]
        yield ports[0], ports[1] if len(ports) > 1 else None
    finally:
        await runner.cleanup()


def controllers(cluster: Cluster, *, job_backoff: timedelta) -> tuple[Controller, ...]:
    """Return all controllers. Namespaces come first: a pod needs the account that a new namespace gets."""
    return (
        Namespaces(cluster),
        Garbage(cluster),
        Jobs(cluster, job_backoff),
        Scheduler(cluster),
        Nodes(cluster),
        Taints(cluster),
        Endpoints(cluster),
        Claims(cluster),
        ForgetEvents(cluster),
    )


@contextlib.asynccontextmanager
async def _tasks(*coroutines: Coroutine[None, None, None]) -> AsyncIterator[None]:
    # A task that fails takes the server down: better than one that stores nothing, or controls nothing.
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        try:
            yield
        except Exception as error:
            # What fails beside the tasks is no group of failures, as theirs are.
            failure = error
        finally:
            for task in tasks:
                task.cancel()
    if failure:
        raise failure


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings) as server:
        log.info("listening on http://127.0.0.1:%d", server.port)
        if server.tls_port:
            log.info("listening on https://127.0.0.1:%d", server.tls_port)
        await stop.wait()
    log.info("stopped")
