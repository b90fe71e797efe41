"""Puts one kubelet together, and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import aiohttp
from aiohttp import web

from emulator.kubelet.addresses import Addresses
from emulator.kubelet.api import Api
from emulator.kubelet.cgroups import find_cgroups
from emulator.kubelet.events import Events
from emulator.kubelet.identity import container_account
from emulator.kubelet.images import Images, Pull
from emulator.kubelet.layout import Layout
from emulator.kubelet.node import Heartbeat, NodeFacts, machine_capacity
from emulator.kubelet.process import Bare, Runtime
from emulator.kubelet.runs import Process, Runs, this_process
from emulator.kubelet.server import application
from emulator.kubelet.services import Services, Timing
from emulator.kubelet.streams import LONGEST_REQUEST_LINE_BYTES, add_streams
from emulator.kubelet.sync import Pods

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_WITHOUT_BUBBLEWRAP = (
    "bubblewrap cannot run here, and nothing is hidden from containers: they see this machine's processes, and read "
    "and change each other's files, those of running servers among them."
)
_ANOTHER_USER = "They are user {}: images and the state folder's secrets are not theirs to change or read."
_SAME_USER = (
    "They may do whatever this user may: read the state folder with all its tokens, change the programs of this stack. "
    "Each has a copy of its environment, and images whose environment was changed are pulled again; nothing else is "
    "protected. Do not run strangers' repositories like this."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One kubelet: where it listens, which node it is, and whom it asks."""

    port: int
    node: str
    server: str
    token: str
    registry: str
    layout: Layout
    pod_network: ipaddress.IPv4Network
    pods: int = 110
    log_limit_bytes: int = 10 * 2**20
    # Containers end with this process; of none is named with the kubelet's own.
    end_with: Process | None = None
    timing: Timing = Timing()


@asynccontextmanager
async def running_kubelet(
    settings: Settings, *, pull: Pull, runtime: Runtime | None, now: Callable[[], datetime]
) -> AsyncIterator[Pods]:
    """Run a kubelet for as long as the context lasts; at its end no pod process is left.

    Pods that a kubelet before it left running are taken over."""
    # Only without bubblewrap containers reach their files through our folder.
    settings.layout.make(passable=runtime is None and container_account() is not None)
    if runtime is None:
        account = container_account()
        log.warning("%s %s", _WITHOUT_BUBBLEWRAP, _ANOTHER_USER.format(account.uid) if account else _SAME_USER)
    state = settings.layout.state
    cgroups = find_cgroups(f"binderless-{zlib.crc32(str(state).encode()):08x}")
    runs = Runs(settings.layout.runs)
    if cgroups:
        cgroups.remove_all(but=runs.cgroup_names())
    async with aiohttp.ClientSession() as session:
        api = Api(session, settings.server, settings.token)
        addresses = Addresses(settings.pod_network, state / "addresses.json")
        capacity = machine_capacity(pods=settings.pods)
        services = Services(
            api=api,
            events=Events(api, settings.node, now),
            images=Images(pull, state / "images.json"),
            runtime=runtime or Bare(container_account()),
            cgroups=cgroups,
            addresses=addresses,
            layout=settings.layout,
            runs=runs,
            end_with=settings.end_with or this_process(),
            timing=settings.timing,
            now=now,
            registry=settings.registry,
            host_ip=HOST,
            allocatable=capacity,
            log_limit_bytes=settings.log_limit_bytes,
        )
        try:
            async with _serving(settings, services, capacity, now) as pods:
                yield pods
        finally:
            addresses.close()
            if cgroups:
                cgroups.close()


@asynccontextmanager
async def _serving(
    settings: Settings, services: Services, capacity: dict[str, str], now: Callable[[], datetime]
) -> AsyncIterator[Pods]:
    pods = Pods(services, settings.node)
    heartbeat = Heartbeat(services.api, interval_s=settings.timing.heartbeat_s, now=now)

    def ready() -> bool:
        return pods.listed.is_set() and heartbeat.registered.is_set()

    app = application(pods, token=settings.token, ready=ready, now=now)
    add_streams(app, pods, services.runtime)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, max_line_size=LONGEST_REQUEST_LINE_BYTES)
    await runner.setup()
    await web.TCPSite(runner, HOST, settings.port).start()
    facts = NodeFacts(
        name=settings.node,
        address=HOST,
        port=runner.addresses[0][1],
        capacity=capacity,
        isolated=services.runtime.isolated,
    )

    async def begin(work: Callable[[], Awaitable[None]]) -> None:
        await services.api.await_server()
        await work()

    works = (partial(heartbeat.run, facts), pods.run, services.events.run)
    tasks = [asyncio.ensure_future(begin(each)) for each in works]
    log.info("node %s is at %s:%d", settings.node, HOST, facts.port)
    try:
        yield pods
    finally:
        # A pod that came while others end would outlive us.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pods.shut_down()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.cleanup(), 3)
