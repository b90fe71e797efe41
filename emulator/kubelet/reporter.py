"""Tells the API server how one pod is: the newest state always, every state in between only if there is time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from emulator.kubelet.api import ApiError
from emulator.kubelet.services import Services
from emulator.kubelet.states import PodRecord
from emulator.kubelet.status import OWN_CONDITIONS, pod_status, status_patch

log = logging.getLogger(__name__)


class Reporter:
    """Writes the status of one pod whenever it changed."""

    def __init__(
        self, services: Services, manifest: Callable[[], Mapping[str, Any]], record: Callable[[], PodRecord]
    ) -> None:
        self._services, self._manifest, self._record = services, manifest, record
        self._dirty = asyncio.Event()
        self._writing = asyncio.Lock()
        self._sent: dict[str, Any] | None = None
        self._doubted = False
        self._closed = False

    def changed(self) -> None:
        self._dirty.set()

    def learned(self) -> None:
        """The API server tells something new of the pod: report again, unless nothing has been yet."""
        if self._sent is not None:
            self.changed()

    def doubt(self) -> None:
        """Report again what was reported, if anything: an API server that was killed has lost what it had answered to
        in its last moment."""
        if self._sent is not None:
            self._doubted = True
            self.changed()

    def close(self) -> None:
        """Report nothing any more."""
        self._closed = True

    async def run(self) -> None:
        """Report for ever."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._until_answered(self._write)

    async def finish(self) -> None:
        """Report the last state, and let the API server forget the pod."""
        await self._until_answered(self._write)
        await self._until_answered(self._delete)

    async def _until_answered(self, request: Callable[[], Any]) -> None:
        while not self._closed:
            try:
                async with self._writing:
                    await request()
                return
            except ApiError as error:
                if error.code == 404:
                    return
                # A conflict: the pod of this name may be another one by now, which the watch will tell.
                log.warning("pod %s not reported: %s", self._manifest()["metadata"]["name"], error)
                await asyncio.sleep(self._services.timing.retry_s)

    async def _write(self) -> None:
        manifest = self._manifest()
        status = status_patch(pod_status(self._base(manifest), self._record(), now=self._services.now()))
        doubted, self._doubted = self._doubted, False
        if status == self._sent and not doubted:
            return
        body = {"metadata": {"uid": manifest["metadata"]["uid"]}, "status": status}
        try:
            await self._services.api.merge(f"{_path(manifest)}/status", body)
        except ApiError:
            self._doubted = doubted
            raise
        self._sent = status

    async def _delete(self) -> None:
        manifest = self._manifest()
        precondition = {"uid": manifest["metadata"]["uid"]}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": precondition}
        await self._services.api.delete(_path(manifest), body)

    def _base(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest with our own conditions as last sent: the watch may not have brought them back yet."""
        status = manifest.get("status") or {}
        if self._sent is None:
            return dict(manifest)
        ours = self._sent["conditions"]
        others = [each for each in status.get("conditions") or () if each["type"] not in OWN_CONDITIONS]
        return {**manifest, "status": {**status, "conditions": ours + others}}


def _path(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
