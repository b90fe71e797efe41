"""Kernels of a launched server: whether they outlive the cluster below them, and whether the cull sees them compute."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from emulator.kernels import running_kernel
from functions.adapters.http import ONCE, HttpClient
from functions.adapters.kernels import ServerKernels
from functions.core.kernels import KernelUse
from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.mark.parametrize("part", ["kubelet", "kube"])
def test_a_kernel_goes_on_while_the_cluster_below_it_dies_and_comes_back(
    stack: Stack, make_repository: MakeRepository, part: str
) -> None:
    """The same kernel, over the same connection, in the same pod; and the pod still ends when it is told to."""
    name = f"{part}-dies"
    ready = stack.ready(make_repository(name))
    [user] = stack.users_of(name)

    def pod() -> dict[str, Any]:
        [found] = [each for each in stack.pods() if name in each["metadata"]["name"]]
        return found

    async def story() -> None:
        async with (
            aiohttp.ClientSession() as session,
            running_kernel(session, ready.data["url"], ready.data["token"]) as run,
        ):
            assert await run("kept = 41; kept")
            before, dead = pod(), stack.part_pid(part)
            stack.kill_part(part)
            await asyncio.to_thread(wait_until, lambda: _is_back(stack, part, dead), what=f"a new {part}")
            assert await run("kept + 1") == "42"
            after = pod()
            assert after["metadata"]["uid"] == before["metadata"]["uid"]
            assert after["status"]["phase"] == "Running"
            assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
            assert after["status"]["conditions"] == before["status"]["conditions"]

    asyncio.run(story())
    stack.hub("DELETE", f"/users/{user}/server")
    wait_until(lambda: name not in str(stack.pods()), what="the pod's end")


def test_a_kernel_that_computes_in_silence_is_seen_to_do_so(stack: Stack, make_repository: MakeRepository) -> None:
    """By what the cull asks, of a real server behind the real proxy."""
    ready = stack.ready(make_repository("computes"))
    kernels = ServerKernels(HttpClient("The notebook server", timeout_s=5, retry=ONCE))
    url, token = str(ready.data["url"]), str(ready.data["token"])

    async def story() -> None:
        async with aiohttp.ClientSession() as session, running_kernel(session, url, token) as run:
            await run("import time; 1")
            await asyncio.to_thread(wait_until, lambda: kernels.use(url, token) == KernelUse(busy=0, connections=1))
            computing = asyncio.ensure_future(run("time.sleep(3) or 2"))
            await asyncio.to_thread(wait_until, lambda: kernels.use(url, token) == KernelUse(busy=1, connections=1))
            await computing
        await asyncio.to_thread(wait_until, lambda: kernels.use(url, token) == KernelUse(busy=0, connections=0))

    assert kernels.use(url, token) == KernelUse(busy=0, connections=0)
    asyncio.run(story())
    assert kernels.use(url, "another") is None


def _is_back(stack: Stack, part: str, dead: int) -> bool:
    [now] = [each for each in stack.status()["parts"] if each["name"] == part]
    return bool(now["healthy"]) and now["pid"] != dead
