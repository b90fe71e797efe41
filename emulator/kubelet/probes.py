"""Probes: whether a container has started, is alive, and can be given work.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from emulator.kubelet.process import Runtime
from emulator.kubelet.spawning import ContainerProcess, StartError

# Those that Go follows, and how often.
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REQUESTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The container that is probed: where it listens, its spec, its process, and for how long that has run already."""

    address: str
    spec: Mapping[str, Any]
    process: ContainerProcess
    runtime: Runtime
    age_s: float = 0


class Failed(Exception):
    """The container did not pass, with what it answered."""


async def outcomes(probe: Mapping[str, Any], target: Target, tell: Callable[[str], None]) -> AsyncIterator[bool]:
    """Yield whether the container passes, whenever as many answers in a row as the probe asks for say so; for ever.

    *tell* hears of every failure."""
    await asyncio.sleep(max(0, (probe.get("initialDelaySeconds") or 0) - target.age_s))
    last, streak = None, 0
    while True:
        passes = await _passes(probe, target, tell)
        streak = streak + 1 if passes == last else 1
        last = passes
        if streak == ((probe.get("successThreshold") or 1) if passes else (probe.get("failureThreshold") or 3)):
            yield passes
        await asyncio.sleep(probe.get("periodSeconds") or 10)


async def _passes(probe: Mapping[str, Any], target: Target, tell: Callable[[str], None]) -> bool:
    timeout_s = probe.get("timeoutSeconds") or 1
    try:
        async with asyncio.timeout(timeout_s):
            await ask(probe, target)
    except (
        OSError,
        TimeoutError,
        aiohttp.ClientError,
        StartError,
        KeyError,
        ValueError,
        StopIteration,
        Failed,
    ) as error:
        tell(str(error) or type(error).__name__)
        return False
    return True


async def ask(probe: Mapping[str, Any], target: Target) -> None:
    """Ask once, with all the time it takes. Raises Failed, and what the network and the specification give rise to."""
    if "httpGet" in probe:
        await _http(probe["httpGet"], target)
    elif "tcpSocket" in probe:
        await _tcp(probe["tcpSocket"], target)
    elif code := await target.runtime.execute(target.process, probe["exec"]["command"]):
        raise Failed(f"command exited with {code}")


async def _http(action: Mapping[str, Any], target: Target) -> None:
    host = action.get("host") or target.address
    scheme, path = (action.get("scheme") or "HTTP").lower(), action.get("path") or "/"
    url = f"{scheme}://{host}:{_port(action, target)}/{path.lstrip('/')}"
    headers = {each["name"]: each["value"] for each in action.get("httpHeaders") or ()}
    async with aiohttp.ClientSession(headers=headers) as session:
        status = await _last_status(session, URL(url))
    if not 200 <= status < 400:
        raise Failed(f"HTTP probe failed with statuscode: {status}")


async def _last_status(session: aiohttp.ClientSession, url: URL) -> int:
    """Follow redirects, but to no other host: that there is one counts as the answer then.

    https://github.com/kubernetes/kubernetes/blob/v1.31.0/pkg/probe/http/http.go
    """
    host = url.host
    for _ in range(_MOST_REQUESTS):
        async with session.get(url, allow_redirects=False, ssl=False) as response:
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response.status
            url = response.url.join(URL(location))
            if url.host != host:
                return response.status
    raise Failed(f"stopped after {_MOST_REQUESTS} redirects")


async def _tcp(action: Mapping[str, Any], target: Target) -> None:
    _, writer = await asyncio.open_connection(action.get("host") or target.address, _port(action, target))
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _port(action: Mapping[str, Any], target: Target) -> int:
    port = action["port"]
    if isinstance(port, int) or str(port).isdecimal():
        return int(port)
    return next(int(each["containerPort"]) for each in target.spec.get("ports") or () if each.get("name") == port)
