"""From a container's spec, which may change, to what can be started: its image, its preparation, and trying again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from emulator.kubelet.environment import ConfigError
from emulator.kubelet.preparing import Preparation, Surroundings
from emulator.kubelet.pulling import Puller
from emulator.kubelet.services import Services, unless_stopped
from emulator.kubelet.spawning import Launch
from emulator.kubelet.volumes import VolumeError


class Changed(Exception):
    """The container is to have another image, so what was waited for no longer matters."""


class Starter:
    """Gets one container ready to be started. *tell* writes events, *wait* says what is waited for."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        around: Surroundings,
        services: Services,
        *,
        tell: Callable[[str, str, str], None],
        wait: Callable[[str, str], None],
    ) -> None:
        self.preparation = Preparation(spec=spec, around=around, services=services, tell=tell)
        self._around, self._services, self._tell, self._wait = around, services, tell, wait
        self._changed = asyncio.Event()

    @property
    def outdated(self) -> bool:
        """Whether the spec became another one than that of the newest launch."""
        return self._changed.is_set()

    def change(self, spec: Mapping[str, Any]) -> None:
        """Go on with this spec."""
        self.preparation = replace(self.preparation, spec=spec)
        self._changed.set()

    async def launch(self, number: int) -> Launch:
        """Return what to start, when all that it needs is there. Raises Stopped."""
        while True:
            self._changed.clear()
            with suppress(Changed):
                return await self._prepared(number)

    async def pause(self, seconds: float) -> None:
        """Let time pass. Raises Stopped, and Changed as soon as there is another spec."""
        with suppress(TimeoutError):
            await unless_stopped(self._around.stop, asyncio.wait_for(self._changed.wait(), seconds))
            raise Changed

    async def _prepared(self, number: int) -> Launch:
        image = await Puller(
            spec=self.preparation.spec,
            services=self._services,
            stop=self._around.stop,
            tell=self._tell,
            wait=self._wait,
            pause=self.pause,
            apart=self.preparation.apart,
        ).image()
        while not self.outdated:
            try:
                return await self.preparation.launch(image, number)
            except (ConfigError, VolumeError, ValueError, OSError) as error:
                self._wait("CreateContainerConfigError", str(error))
                self._tell("Warning", "Failed", f"Error: {error}")
                await self.pause(self._services.timing.retry_s)
        raise Changed
