"""Watching over one run of a container by its probes: has it started, is it alive, can it be given work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.kubelet.probes import Target, outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """Probes the container at *target*, and says what comes of it: `failed` hears which probe it did not pass."""

    spec: Mapping[str, Any]
    target: Target
    has_started: bool
    tell: Callable[[str], None]
    started: Callable[[], None]
    ready: Callable[[bool], None]
    failed: Callable[[str], None]

    async def run(self) -> None:
        """Probe for as long as the container runs."""
        if await self._has_started():
            await asyncio.gather(self._keep_alive(), self._watch_readiness())

    async def _has_started(self) -> bool:
        if self.has_started or "startupProbe" not in self.spec:
            return True
        async for passes in self._outcomes("startup"):
            if passes:
                self.started()
                return True
            self.failed("startup")
        return False

    async def _keep_alive(self) -> None:
        async for passes in self._outcomes("liveness"):
            if not passes:
                self.failed("liveness")

    async def _watch_readiness(self) -> None:
        async for passes in self._outcomes("readiness"):
            self.ready(passes)

    async def _outcomes(self, kind: str) -> AsyncIterator[bool]:
        def tell(why: str) -> None:
            self.tell(f"{kind.capitalize()} probe failed: {why}")

        if probe := self.spec.get(f"{kind}Probe"):
            async for passes in outcomes(probe, self.target, tell):
                yield passes
