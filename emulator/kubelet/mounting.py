"""The volumes of one pod: what they are made of, and trying again until they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from emulator.kubelet.claims import folder_of, resolve_claim
from emulator.kubelet.environment import Downward, Source, Sources
from emulator.kubelet.services import Services, unless_stopped
from emulator.kubelet.sources import fetch_sources
from emulator.kubelet.volumes import Volume, VolumeError, make_volume, volume_references


class Mounting:
    """Makes the volumes of a pod. `volumes` are those that are there; containers may have them *in_use* already."""

    def __init__(
        self,
        services: Services,
        manifest: Callable[[], Mapping[str, Any]],
        *,
        pod_ip: Callable[[], str],
        stop: asyncio.Event,
        in_use: Callable[[], bool],
    ) -> None:
        self.volumes: dict[str, Volume] = {}
        self._services, self._manifest, self._pod_ip = services, manifest, pod_ip
        self._stop, self._in_use = stop, in_use
        self._making = asyncio.Lock()

    async def mount(self) -> None:
        """Make the volumes that are not there yet. Raises Stopped."""
        async with self._making:
            for volume in self._manifest()["spec"].get("volumes") or ():
                if volume["name"] not in self.volumes:
                    self.volumes[volume["name"]] = await self._made_at_last(volume)

    async def fetch(self, wanted: Iterable[Source]) -> Sources:
        """The config maps and secrets that are *wanted*, as soon as they can be had."""
        services, namespace = self._services, self._manifest()["metadata"]["namespace"]
        return await fetch_sources(services.api, namespace, wanted, retry_s=services.timing.retry_s)

    async def _made_at_last(self, volume: Mapping[str, Any]) -> Volume:
        while True:
            try:
                return await self._made(volume)
            except (VolumeError, ValueError, OSError) as error:
                message = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                self._services.events.tell(self._manifest(), "Warning", "FailedMount", message)
                await unless_stopped(self._stop, asyncio.sleep(self._services.timing.retry_s))

    async def _made(self, volume: Mapping[str, Any]) -> Volume:
        services, pod = self._services, self._manifest()
        if "persistentVolumeClaim" in volume:
            found = resolve_claim(services.api, pod["metadata"]["namespace"], volume)
            volume = await unless_stopped(self._stop, found)
        elif "csi" in volume:
            raise VolumeError("inline CSI volumes are not supported")
        sources = await unless_stopped(self._stop, self.fetch(volume_references(volume)))
        downward = Downward(pod=pod, pod_ip=self._pod_ip(), host_ip=services.host_ip, allocatable=services.allocatable)
        folder = folder_of(services.layout, volume, services.layout.volume(pod, volume["name"]))
        made = await asyncio.to_thread(
            make_volume,
            volume,
            folder=folder,
            sources=sources,
            downward=downward,
            allowed=services.layout.allowed_host_paths,
            owner=services.runtime.account,
            # Containers that run have its files open, and see the folder that is there.
            keep=self._in_use(),
        )
        if made.note:
            services.events.tell(pod, "Warning", "FailedMount", made.note)
        return made
