"""Readiness probes: whether a running container can be given work.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from emulator.kubelet.process import ContainerProcess, Runtime
from emulator.kubelet.spawning import Launch, StartError


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The container that is probed: where it listens, its spec, and its process."""

    address: str
    spec: Mapping[str, Any]
    process: ContainerProcess
    launch: Launch
    runtime: Runtime


async def readiness(probe: Mapping[str, Any], target: Target) -> AsyncIterator[bool]:
    """Yield whether the container is ready, whenever that changes; for ever."""
    await asyncio.sleep(probe.get("initialDelaySeconds") or 0)
    ready, streak = False, 0
    while True:
        passes = await _passes(probe, target)
        streak = streak + 1 if passes != ready else 0
        threshold = (probe.get("successThreshold") or 1) if passes else (probe.get("failureThreshold") or 3)
        if streak >= threshold:
            ready, streak = passes, 0
            yield ready
        await asyncio.sleep(probe.get("periodSeconds") or 10)


async def _passes(probe: Mapping[str, Any], target: Target) -> bool:
    timeout_s = probe.get("timeoutSeconds") or 1
    try:
        async with asyncio.timeout(timeout_s):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], target)
            if "tcpSocket" in probe:
                return await _tcp(probe["tcpSocket"], target)
            return await target.runtime.execute(target.process, probe["exec"]["command"], target.launch) == 0
    except (OSError, TimeoutError, aiohttp.ClientError, StartError, KeyError, ValueError):
        return False


async def _http(action: Mapping[str, Any], target: Target) -> bool:
    host = action.get("host") or target.address
    scheme, path = (action.get("scheme") or "HTTP").lower(), action.get("path") or "/"
    url = f"{scheme}://{host}:{_port(action, target)}/{path.lstrip('/')}"
    headers = {each["name"]: each["value"] for each in action.get("httpHeaders") or ()}
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers=headers, allow_redirects=False, ssl=False) as response,
    ):
        return 200 <= response.status < 400


async def _tcp(action: Mapping[str, Any], target: Target) -> bool:
    _, writer = await asyncio.open_connection(action.get("host") or target.address, _port(action, target))
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _port(action: Mapping[str, Any], target: Target) -> int:
    port = action["port"]
    if isinstance(port, int) or str(port).isdecimal():
        return int(port)
    return next(int(each["containerPort"]) for each in target.spec.get("ports") or () if each.get("name") == port)
