"""What a person waits for, on a stack of its own: `python -m benchmarks.launches`.

Start of the stack on an empty state and again; first and second build of an example; a cached launch with its stages
up to the first answer of a kernel; memory of the idle stack and of a user's server.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import aiohttp

from benchmarks.machine import describe, family, pss_mib, spread
from emulator.kernels import execute
from tests.e2e.stack import ROOT, Event, Stack, wait_until
from tests.ports import free_port

RUNS = 5
STAGES: tuple[tuple[str, Callable[[Event], bool]], ...] = (
    ("click to the first event (ref resolved, image found)", lambda event: True),
    ("to the server requested", lambda event: "Server requested" in event.message),
    ("to the container started", lambda event: "Started container" in event.message),
    ("to ready (the notebook server's own start)", lambda event: event.phase == "ready"),
)


def main() -> None:
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "state", f"http://127.0.0.1:{free_port()}")
        print(f"start of the stack, empty state        {_up(stack):6.2f} s")
        _command(stack, "down")
        print(f"start of the stack, again              {spread([_restart(stack) for _ in range(3)])}")
        try:
            _measure(stack)
        finally:
            _command(stack, "down")


def _measure(stack: Stack) -> None:
    print(f"memory of the idle stack               {_stack_mib(stack):6.0f} MiB (proportional)")
    example = ROOT / "examples" / "notebook-only"
    print(
        f"first build of an example, to ready    {_timed(lambda: stack.ready(stack.publish(example, 'first'))):6.2f} s"
    )
    print(
        f"the same in another repository         {_timed(lambda: stack.ready(stack.publish(example, 'second'))):6.2f} s"
    )
    repo_url = stack.publish(example, "first")
    before = _stack_mib(stack)
    launches = [_launch(stack, repo_url) for _ in range(RUNS)]
    servers_mib = (_stack_mib(stack) - before) / RUNS
    stages = list(zip(*[stages for stages, _, _ in launches], strict=True))
    for (name, _), seconds in zip(STAGES, stages, strict=True):
        print(f"  {name:54} {spread(list(seconds))}")
    totals = [sum(each) for each, _, _ in launches]
    ours = [sum(each[:-1]) for each, _, _ in launches]
    print(f"cached launch, click to ready          {spread(totals)}")
    print(f"  of which not the notebook server's   {median(ours) / median(totals):6.0%}")
    print(f"cached launch, to the kernel's answer  {spread([seconds for _, seconds, _ in launches])}")
    print(f"memory of a user's server, kernel gone {servers_mib:6.0f} MiB (proportional)")


def _launch(stack: Stack, repo_url: str) -> tuple[list[float], float, Event]:
    """Seconds of each stage, seconds to the answer of a kernel, and the last event."""
    begun = time.perf_counter()
    reached = [0.0] * len(STAGES)
    for event in stack.until_end(stack.launch(repo_url)):
        now = time.perf_counter() - begun
        reached = [
            at or (now if is_reached(event) else 0.0) for at, (_, is_reached) in zip(reached, STAGES, strict=True)
        ]
    if event.phase != "ready":
        raise RuntimeError(f"the launch ended early: {event.message}")
    # The Hub may tell of the container only after it has found the server ready.
    reached = [min(at or reached[-1], reached[-1]) for at in reached]
    stages = [later - earlier for earlier, later in zip([0.0, *reached], reached, strict=False)]
    asyncio.run(_compute(event))
    return stages, time.perf_counter() - begun, event


async def _compute(ready: Event) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await execute(session, ready.data["url"], ready.data["token"], "6*7")
    if answer != "42":
        raise RuntimeError(f"the kernel says {answer}")


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _up(stack: Stack) -> float:
    return _timed(lambda: _command(stack, "up", "--detach"))


def _restart(stack: Stack) -> float:
    _command(stack, "down")
    return _up(stack)


def _command(stack: Stack, *words: str) -> None:
    environment = {**stack.environment(), "BINDERLESS_PORT": stack.url.rpartition(":")[2]}
    command = [sys.executable, "-m", "emulator", *words]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)


def _stack_mib(stack: Stack) -> float:
    for name in ("pages", "build", "on_build_complete", "cull", "webhook"):
        stack.run_admin("POST", f"/functions/{name}:scale-to-zero")
    wait_until(lambda: not stack.run_admin("GET", "/instances")["instances"], what="scaling to zero")
    return sum(pss_mib(pid) for pid in family(int(stack.status()["pid"])))


if __name__ == "__main__":
    os.environ.pop("BINDERLESS_STATE", None)
    main()
