"""Getting the image of a container: the one that is here, a pulled one, or waiting and trying again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.images import ImageError, PulledImage
from emulator.kubelet.images import ImageNeverPulled, name_problem, pull_policy
from emulator.kubelet.services import Services, delays, unless_stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Puller:
    """Gets one container's image; `tell` writes events, `wait` says what is waited for, `pause` sleeps or stops, and
    `apart` makes of an image what this container may use without harm to others."""

    spec: Mapping[str, Any]
    services: Services
    stop: asyncio.Event
    tell: Callable[[str, str, str], None]
    wait: Callable[[str, str], None]
    pause: Callable[[float], Awaitable[None]]
    apart: Callable[[PulledImage], Awaitable[PulledImage]]

    async def image(self) -> PulledImage:
        """Return the image, whenever it comes. Raises Stopped."""
        reference, policy = self.spec["image"], pull_policy(dict(self.spec))
        pauses = delays(self.services.timing)
        while problem := name_problem(reference):
            self.wait("InvalidImageName", problem)
            self.tell("Warning", "InspectFailed", problem)
            self.tell("Warning", "Failed", "Error: InvalidImageName")
            await self.pause(next(pauses))
        while True:
            try:
                present = self.services.images.present(reference, policy)
                if present:
                    self.tell("Normal", "Pulled", f'Container image "{reference}" already present on machine')
                return await self.apart(present or await self._pull(reference))
            except ImageNeverPulled as error:
                self.wait("ErrImageNeverPull", str(error))
                self.tell("Warning", "ErrImageNeverPull", str(error))
                await self.pause(next(pauses))
            except ImageError as error:
                await self._failed(reference, str(error), next(pauses))

    async def _pull(self, reference: str) -> PulledImage:
        self.tell("Normal", "Pulling", f'Pulling image "{reference}"')
        began = self.services.now()
        image = await unless_stopped(self.stop, self.services.images.pull(reference))
        seconds = (self.services.now() - began).total_seconds()
        self.tell("Normal", "Pulled", f'Successfully pulled image "{reference}" in {seconds:.3f}s')
        return image

    async def _failed(self, reference: str, reason: str, pause_s: float) -> None:
        self.wait("ErrImagePull", reason)
        self.tell("Warning", "Failed", f'Failed to pull image "{reference}": {reason}')
        self.tell("Warning", "Failed", "Error: ErrImagePull")
        await self.pause(min(1, pause_s))
        back_off = f'Back-off pulling image "{reference}"'
        self.wait("ImagePullBackOff", f"{back_off}: ErrImagePull: {reason}")
        self.tell("Normal", "BackOff", back_off)
        self.tell("Warning", "Failed", "Error: ImagePullBackOff")
        await self.pause(pause_s)
