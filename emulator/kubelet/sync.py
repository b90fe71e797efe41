"""From what the API server says of this node's pods to pods that live here."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from emulator.kubelet.api import ApiError, WatchEvent
from emulator.kubelet.claims import forget_claims
from emulator.kubelet.layout import remove_tree
from emulator.kubelet.pod import Pod
from emulator.kubelet.services import Services

log = logging.getLogger(__name__)

_PODS = "/api/v1/pods"
_WATCH_S = 300
_BETWEEN_WATCHES_S = 0.05
# The whole kubelet has ten seconds to end.
_LONGEST_SHUTDOWN_GRACE_S = 4.0


class Pods:
    """The pods of one node."""

    def __init__(self, services: Services, node: str) -> None:
        self.listed = asyncio.Event()
        self._services = services
        self._selector = f"spec.nodeName={node}"
        self._pods: dict[str, Pod] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._shutting_down = False

    async def run(self) -> None:
        """Follow the API server for ever, through its restarts and forgotten versions."""
        while True:
            try:
                version = await self._list()
                while version:
                    version = await self._watch(version)
                    await asyncio.sleep(_BETWEEN_WATCHES_S)
            except ApiError as error:
                log.info("pods are listed again: %s", error)
            await asyncio.sleep(self._services.timing.retry_s)

    def find(self, namespace: str, name: str) -> Pod | None:
        """The pod of this name that came last."""
        for pod in reversed(self._pods.values()):
            metadata = pod.manifest["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return pod
        return None

    async def shut_down(self) -> None:
        """End every pod, as the node would when it is turned off: the API server learns nothing."""
        self._shutting_down = True
        for pod in self._pods.values():
            grace_s = pod.manifest["spec"].get("terminationGracePeriodSeconds", _LONGEST_SHUTDOWN_GRACE_S)
            pod.abandon(grace_s=min(grace_s, _LONGEST_SHUTDOWN_GRACE_S))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _list(self) -> str:
        answer = await self._services.api.get(_PODS, fieldSelector=self._selector)
        items: list[dict[str, Any]] = answer["items"]
        there = {each["metadata"]["uid"] for each in items}
        for uid in self._pods.keys() - there:
            self._pods[uid].abandon(grace_s=0)
        for each in items:
            self._met(each)
        # Listed because a watch broke off, which a new start of the server may have done.
        for pod in self._pods.values():
            pod.report_again()
        if not self.listed.is_set():
            for uid in self._services.runs.known() - there:
                await self._services.runs.end(uid)
            await asyncio.to_thread(self._forget_all_but, frozenset(there))
            self.listed.set()
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        """Follow one watch to its regular end, and return the version to go on from."""
        events = self._services.api.watch(
            _PODS, fieldSelector=self._selector, resourceVersion=version, timeoutSeconds=str(_WATCH_S)
        )
        async for event in events:
            version = event.object["metadata"]["resourceVersion"]
            if event.type != "BOOKMARK":
                self._handle(event)
        return version

    def _handle(self, event: WatchEvent) -> None:
        if event.type != "DELETED":
            self._met(event.object)
            return
        pod = self._pods.get(event.object["metadata"]["uid"])
        if pod:
            pod.abandon(grace_s=0)

    def _met(self, manifest: dict[str, Any]) -> None:
        if self._shutting_down:
            return
        uid = manifest["metadata"]["uid"]
        if uid not in self._pods:
            self._pods[uid] = Pod(manifest, self._services)
            task = asyncio.ensure_future(self._live(self._pods[uid]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._pods[uid].update(manifest)

    async def _live(self, pod: Pod) -> None:
        try:
            await pod.run()
        except Exception:
            log.exception("pod %s was lost", pod.manifest["metadata"]["name"])
        if self._shutting_down:
            return
        del self._pods[pod.manifest["metadata"]["uid"]]
        self._services.addresses.release(pod.manifest["metadata"]["uid"])
        # Of a pod that was lost, something may still run.
        await self._services.runs.end(pod.manifest["metadata"]["uid"])
        self._services.runs.forget(pod.manifest["metadata"]["uid"])
        await asyncio.to_thread(self._services.layout.forget, pod.manifest)
        await forget_claims(self._services.api, self._services.layout)

    def _forget_all_but(self, there: frozenset[str]) -> None:
        """Remove what pods left that were deleted while no kubelet was there."""
        for uid in self._services.addresses.known() - there:
            self._services.addresses.release(uid)
        for uid in self._services.runs.known() - there:
            self._services.runs.forget(uid)
        for folder in self._services.layout.forgotten(there):
            remove_tree(folder)
