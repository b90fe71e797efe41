"""What a container asks for at its begin and its end: postStart and preStop hooks, and how it is made to end.

https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from emulator.kubelet.probes import Failed, Target, ask
from emulator.kubelet.spawning import ContainerProcess, StartError

# However long its hook took, a container has this long to end when it is asked.
_LEAST_S = 2.0


class HookFailed(Exception):
    """The hook did not do what it should."""


async def run_hook(hook: Mapping[str, Any], target: Target) -> None:
    """Return when the hook is done. Raises HookFailed."""
    try:
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook or "httpGet" in hook:
            await ask(hook, target)
        else:
            raise HookFailed("neither exec, httpGet nor sleep")
    except (
        OSError,
        aiohttp.ClientError,
        StartError,
        KeyError,
        TypeError,
        ValueError,
        StopIteration,
        Failed,
    ) as error:
        raise HookFailed(str(error) or type(error).__name__) from error


async def post_start(hook: Mapping[str, Any], target: Target) -> bool:
    """Wait until the hook is done, or the container has ended without it; tell whether it failed."""
    hooked = asyncio.ensure_future(run_hook(hook, target))
    ending = asyncio.ensure_future(target.process.ended())
    await asyncio.wait({hooked, ending}, return_when=asyncio.FIRST_COMPLETED)
    for task in (hooked, ending):
        task.cancel()
    [failure, _] = await asyncio.gather(hooked, ending, return_exceptions=True)
    return isinstance(failure, HookFailed)


class Ending:
    """How a container is made to end: first its preStop hook, then it is asked, and at last killed."""

    def __init__(self, spec: Mapping[str, Any], tell: Callable[[str, str, str], None]) -> None:
        self._hook = (spec.get("lifecycle") or {}).get("preStop")
        self._tell = tell
        self._task: asyncio.Task[None] | None = None

    def begin(self, target: Target, *, grace_s: float) -> None:
        """Ask the container to end, after its hook; both have *grace_s* seconds, after which somebody is to `kill`."""
        if self._hook is None or grace_s <= 0:
            target.process.terminate()
        elif self._task is None:
            self._task = asyncio.ensure_future(self._gently(self._hook, target, grace_s))

    def kill(self, process: ContainerProcess, *, now: bool = False) -> None:
        """Kill it; unless *now*, who has spent the time on the hook is still given a moment."""
        if now:
            self.over()
        if self._task is None or self._task.done():
            process.kill()

    def over(self) -> None:
        """The container has ended."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _gently(self, hook: Mapping[str, Any], target: Target, grace_s: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        try:
            async with asyncio.timeout(grace_s):
                await run_hook(hook, target)
        except (HookFailed, TimeoutError):
            # What it says may hold secrets of the container.
            self._tell("Warning", "FailedPreStopHook", "PreStopHook failed")
        target.process.terminate()
        if end - loop.time() < _LEAST_S:
            await asyncio.sleep(_LEAST_S)
            target.process.kill()
