"""The Node object: what this machine offers, and that its kubelet is alive."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from emulator.kubelet.api import Api, ApiError
from emulator.kubelet.status import REPLACE, timestamp

log = logging.getLogger(__name__)

_CONDITIONS = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node as it is registered: `capacity` in Kubernetes' quantities."""

    name: str
    address: str
    port: int
    capacity: dict[str, str]
    isolated: bool


def machine_capacity(*, pods: int) -> dict[str, str]:
    """What this machine has."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": str(os.cpu_count() or 1), "memory": f"{memory // 1024}Ki", "pods": str(pods)}


def node_object(facts: NodeFacts, *, now: datetime) -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _architecture(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": facts.name, "labels": labels},
        "status": node_status(facts, since=now, now=now),
    }


def node_status(facts: NodeFacts, *, since: datetime, now: datetime) -> dict[str, Any]:
    """The status of the node; *since* is when its conditions began to hold."""
    conditions = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": timestamp(now),
            "lastTransitionTime": timestamp(since),
        }
        for kind, (status, reason, message) in _CONDITIONS.items()
    ]
    return {
        "addresses": [
            {"type": "InternalIP", "address": facts.address},
            {"type": "Hostname", "address": facts.name},
        ],
        "capacity": facts.capacity,
        "allocatable": facts.capacity,
        "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": facts.port}},
        "nodeInfo": _node_info(facts),
    }


class Heartbeat:
    """Registers the node and keeps telling that it is alive."""

    def __init__(self, api: Api, *, interval_s: float, now: Callable[[], datetime]) -> None:
        self._api, self._interval_s, self._now = api, interval_s, now
        self._since = now()
        self.registered = asyncio.Event()

    async def run(self, facts: NodeFacts) -> None:
        """Beat for ever; a node that is gone, with its API server for instance, is registered again."""
        while True:
            try:
                await self.beat(facts)
            except ApiError as error:
                log.warning("node not reported: %s", error)
                await asyncio.sleep(min(1, self._interval_s))
                continue
            self.registered.set()
            await asyncio.sleep(self._interval_s)

    async def beat(self, facts: NodeFacts) -> None:
        """Report the node once."""
        status = node_status(facts, since=self._since, now=self._now())
        path = f"/api/v1/nodes/{facts.name}"
        try:
            # The real kubelet has its addresses replaced, too.
            addresses = [*status["addresses"], REPLACE]
            await self._api.merge(f"{path}/status", {"status": status | {"addresses": addresses}})
        except ApiError as error:
            if error.code != 404:
                raise
            await self._register(facts)

    async def _register(self, facts: NodeFacts) -> None:
        try:
            await self._api.create("/api/v1/nodes", node_object(facts, now=self._since))
        except ApiError as error:
            # Someone else made it in between: the next beat reports to it.
            if error.code != 409:
                raise


def _node_info(facts: NodeFacts) -> dict[str, str]:
    return {
        "architecture": _architecture(),
        "bootID": "",
        "containerRuntimeVersion": "bubblewrap://0" if facts.isolated else "process://0",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": "v1.31.0",
        "machineID": "",
        "operatingSystem": "linux",
        "osImage": platform.platform(terse=True),
        "systemUUID": "",
    }


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
