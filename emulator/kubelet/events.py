"""Events about pods, as the kubelet of Kubernetes tells them: repeated ones are counted, not told again.

Telling never holds a pod up: events wait in a queue, and are lost when the API server is away for long.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from emulator.kubelet.api import Api, ApiError
from emulator.kubelet.status import timestamp

log = logging.getLogger(__name__)

# So many events are on their way at the same time; those of one pod never are, so that they stay in order.
_SENDERS = 8
_QUEUED = 250
_REMEMBERED = 1000
_LONGEST_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened to a pod, or to the container at *field_path* of it."""

    namespace: str
    pod: str
    uid: str
    type: str
    reason: str
    message: str
    field_path: str = ""


class Events:
    """Tells the API server what happened, for each pod one event after the other."""

    def __init__(self, api: Api, node: str, now: Callable[[], datetime]) -> None:
        self._api, self._node, self._now = api, node, now
        self._queues: list[asyncio.Queue[tuple[Told, datetime]]] = [asyncio.Queue(_QUEUED) for _ in range(_SENDERS)]
        self._counts: OrderedDict[Told, tuple[str, int]] = OrderedDict()

    def tell(self, pod: Mapping[str, Any], kind: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Queue an event; *kind* is Normal or Warning."""
        metadata = pod["metadata"]
        told = Told(
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            kind,
            reason,
            message[:_LONGEST_MESSAGE],
            field_path,
        )
        try:
            self._queues[zlib.crc32(told.uid.encode()) % _SENDERS].put_nowait((told, self._now()))
        except asyncio.QueueFull:
            log.warning("event lost: %s %s", reason, metadata["name"])

    async def run(self) -> None:
        """Send what is queued, for ever."""
        await asyncio.gather(*map(self._send_all, self._queues))

    async def _send_all(self, queue: asyncio.Queue[tuple[Told, datetime]]) -> None:
        while True:
            told, moment = await queue.get()
            try:
                await self._send(told, moment)
            except ApiError as error:
                log.warning("event %s of %s not told: %s", told.reason, told.pod, error)
            finally:
                queue.task_done()

    async def flush(self) -> None:
        """Return when everything queued has been sent."""
        await asyncio.gather(*(queue.join() for queue in self._queues))

    async def _send(self, told: Told, moment: datetime) -> None:
        path = f"/api/v1/namespaces/{told.namespace}/events"
        name, count = self._counts.get(told, ("", 0))
        if count:
            try:
                await self._api.merge(f"{path}/{name}", {"count": count + 1, "lastTimestamp": timestamp(moment)})
            except ApiError as error:
                if error.code != 404:
                    raise
                count = 0
        if not count:
            # The time in nanoseconds, as Kubernetes does: names sort by time.
            nanoseconds = int(moment.timestamp() * 1_000_000) * 1000 + secrets.randbelow(1000)
            name = f"{told.pod[:200]}.{nanoseconds:x}"
            await self._api.create(path, self._event(told, name, moment))
        self._counts[told] = (name, count + 1)
        self._counts.move_to_end(told)
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)

    def _event(self, told: Told, name: str, moment: datetime) -> dict[str, Any]:
        involved = {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": told.namespace,
            "name": told.pod,
            "uid": told.uid,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": told.namespace},
            "involvedObject": involved | ({"fieldPath": told.field_path} if told.field_path else {}),
            "reason": told.reason,
            "message": told.message,
            "source": {"component": "kubelet", "host": self._node},
            "firstTimestamp": timestamp(moment),
            "lastTimestamp": timestamp(moment),
            "count": 1,
            "type": told.type,
            "eventTime": None,
            "reportingComponent": "",
            "reportingInstance": "",
        }
