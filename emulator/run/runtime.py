"""Puts the runtime together: deploys the source, opens the ports, and ends everything it started."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

from aiohttp import web

from emulator.run import headers, routing
from emulator.run.admin import Admin
from emulator.run.config import Config
from emulator.run.logs import Log
from emulator.run.proxy import Proxy
from emulator.run.revision import Revision, deploy
from emulator.run.sandbox import Blueprint, find_bwrap
from emulator.run.service import Service

# Every part of the stack ends within ten seconds of its SIGTERM; an instance gets most of them.
SHUTDOWN_GRACE_S = 7.0
CONNECTIONS_GRACE_S = 1.0
BACKLOG = 1024
SCRATCH_PREFIX = "binderless-run-"
# The path of a Unix socket has at most 107 bytes; the names of a function and an instance follow.
LONGEST_SCRATCH = 48


class CannotStart(Exception):
    """The runtime cannot start; says what to change."""


@asynccontextmanager
async def runtime(config: Config, *, state: Path, log: Log) -> AsyncIterator[Mapping[str, int]]:
    """The whole runtime, serving while the context lasts; yields the ports by their setting. Raises CannotStart."""
    folder = state / "run"
    token = _token(config.admin.token_file)
    async with AsyncExitStack() as stack:
        stack.enter_context(_only_one(folder))
        sockets = {where: stack.enter_context(_listen(where, port)) for where, port in _ports(config).items()}
        url_map = routing.load(config.gateway.url_map, config.functions, base_path=config.gateway.base_path)
        revision = deploy(
            source=config.source,
            config_file=config.config_file,
            python=config.python,
            revisions=folder / "revisions",
        )
        scratch = stack.enter_context(_scratch(folder))
        services = await stack.enter_async_context(_services(config, revision, scratch=scratch, log=log))

        runners = _runners(config, services, url_map, token=token, log=log)
        await stack.enter_async_context(_serving(runners, sockets))
        yield {where: each.getsockname()[1] for where, each in sockets.items()}


def _ports(config: Config) -> dict[str, int]:
    functions = {f"functions.{name}.port": each.port for name, each in config.functions.items()}
    return {"admin.port": config.admin.port, "gateway.port": config.gateway.port, **functions}


def _token(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"admin.token_file: {error}") from error
    if not token:
        raise CannotStart(f"admin.token_file: {file} is empty")
    return token


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two runtimes on one state would remove each other's revisions."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart(f"another runtime is using {folder}") from error
        yield


def _listen(where: str, port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    except OSError as error:
        raise CannotStart(f"{where}: cannot listen on port {port}: {error.strerror}") from error


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for the private folders of instances, with a path short enough for a Unix socket.

    A link keeps its place, so that the next runtime removes what a killed one has left.
    """
    link = folder / "scratch"
    if link.is_symlink():
        left = link.readlink()
        link.unlink()
        if left.name.startswith(SCRATCH_PREFIX):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True) as scratch:
        if len(scratch) > LONGEST_SCRATCH:
            raise CannotStart(f"TMPDIR: too long for the path of a Unix socket: {tempfile.gettempdir()}")
        link.symlink_to(scratch)
        yield Path(scratch)
        link.unlink()


@asynccontextmanager
async def _services(
    config: Config, revision: Revision, *, scratch: Path, log: Log
) -> AsyncIterator[dict[str, Service]]:
    bwrap = find_bwrap()
    if bwrap is None:
        log.event("bubblewrap does not work here: instances are plain processes", severity="WARNING")
    services = {}
    for name, settings in config.functions.items():
        blueprint = Blueprint(name, settings, revision, config.python, bwrap)
        services[name] = Service(blueprint, folder=scratch / name, log=log, random=Random())
    try:
        yield services
    finally:
        await asyncio.gather(*(each.close(grace_s=SHUTDOWN_GRACE_S) for each in services.values()))


def _runners(
    config: Config, services: Mapping[str, Service], url_map: routing.UrlMap, *, token: str, log: Log
) -> dict[str, web.BaseRunner]:
    runners: dict[str, web.BaseRunner] = {
        f"functions.{name}.port": _runner(Proxy(_always(each), log=log, front=False)) for name, each in services.items()
    }
    gateway = Proxy(lambda target: services[url_map.function_for(target)], log=log, front=True)
    runners["gateway.port"] = _runner(gateway)
    admin = Admin(services, token=token).application()
    runners["admin.port"] = web.AppRunner(admin, access_log=None, shutdown_timeout=CONNECTIONS_GRACE_S)
    return runners


def _always(service: Service) -> Callable[[str], Service]:
    return lambda target: service


def _runner(proxy: Proxy) -> web.ServerRunner:
    # A client that leaves cancels the handler, which closes the connection to the instance.
    server = web.Server(
        proxy.handle,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        lingering_time=CONNECTIONS_GRACE_S,
        max_line_size=headers.LONGEST_TARGET_BYTES,
        max_field_size=headers.LONGEST_FIELD_BYTES,
    )
    return web.ServerRunner(server, shutdown_timeout=CONNECTIONS_GRACE_S)


@asynccontextmanager
async def _serving(runners: Mapping[str, web.BaseRunner], sockets: Mapping[str, socket.socket]) -> AsyncIterator[None]:
    try:
        for where, runner in runners.items():
            await runner.setup()
            await web.SockSite(runner, sockets[where], backlog=BACKLOG).start()
        yield
    finally:
        await asyncio.gather(*(each.cleanup() for each in runners.values()))
