"""The Kubernetes emulator under load: `python -m benchmarks.kube [--pods N] [--watchers N] [--server URL --token T]`.

Starts an API server of its own, or measures the one named (a real one, for comparison). The pods are
objects only: their scheduler is nobody. Latencies are those of one client after the other, and of eight at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp

from benchmarks.machine import cpu_s, describe, pss_mib
from emulator.alone.testing import running_kubernetes

TOKEN = "benchmark"
NAMESPACE = "benchmark"
AT_ONCE = 8


@dataclass(slots=True)
class Target:
    """A server, where it is a process of ours with its pid."""

    session: aiohttp.ClientSession
    url: str
    pid: int | None = None
    figures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def pods(self) -> str:
        return f"{self.url}/api/v1/namespaces/{NAMESPACE}/pods"

    def note(self, what: str, figure: str) -> None:
        self.figures.append((what, figure))
        print(f"{what:<58} {figure}", flush=True)

    def note_memory(self, what: str) -> None:
        if self.pid:
            self.note(f"memory, {what}", f"{pss_mib(self.pid):.0f} MiB")


def pod(name: str) -> dict[str, Any]:
    environment = [{"name": f"NAME_{number}", "value": "x" * 20} for number in range(20)]
    container = {"name": "main", "image": "example.org/x:1", "command": ["sh", "-c", "true"], "env": environment}
    labels = {"app": "jupyterhub", "component": "singleuser-server"}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"schedulerName": "nobody", "containers": [container]},
    }


async def timed(work: Awaitable[Any]) -> float:
    begun = time.perf_counter()
    await work
    return (time.perf_counter() - begun) * 1000


def spread(milliseconds: list[float]) -> str:
    worst = quantiles(milliseconds, n=100)[98]
    return f"{median(milliseconds):.1f} ms  (99 %: {worst:.1f}, most: {max(milliseconds):.1f})"


async def create(target: Target, name: str) -> None:
    async with target.session.post(target.pods, json=pod(name)) as answer:
        assert answer.status == 201, await answer.text()
        await answer.read()


async def get(target: Target, url: str) -> Any:
    async with target.session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return json.loads(await answer.read())


async def at_once(work: list[Callable[[], Awaitable[Any]]]) -> list[float]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(make: Callable[[], Awaitable[Any]]) -> float:
        async with turns:
            return await timed(make())

    return await asyncio.gather(*map(one, work))


async def measure(target: Target, pods: int, watchers: int) -> None:
    body = {"metadata": {"name": NAMESPACE}}
    async with target.session.post(f"{target.url}/api/v1/namespaces", json=body) as answer:
        assert answer.status in (201, 409)
    await asyncio.sleep(1)
    target.note_memory("at the start")
    half = pods // 2
    target.note("create a pod", spread([await timed(create(target, f"a{number}")) for number in range(half)]))
    begun = time.perf_counter()
    many = await at_once([lambda name=f"b{number}": create(target, name) for number in range(half)])  # type: ignore[misc]
    target.note(f"create a pod, {AT_ONCE} clients", spread(many))
    target.note(f"pods a second, {AT_ONCE} clients", f"{half / (time.perf_counter() - begun):.0f}")
    target.note_memory(f"{pods} pods")
    whole = [await timed(get(target, target.pods)) for _ in range(20)]
    target.note(f"list {pods} pods", spread(whole))
    page = [await timed(get(target, f"{target.pods}?limit=50")) for _ in range(50)]
    target.note(f"list 50 of {pods} pods", spread(page))
    selected = [await timed(get(target, f"{target.pods}?fieldSelector=metadata.name%3Da1")) for _ in range(50)]
    target.note(f"list one of {pods} pods by its name", spread(selected))
    one = [await timed(get(target, f"{target.pods}/a1")) for _ in range(200)]
    target.note("get a pod", spread(one))
    await measure_watches(target, watchers)


async def measure_watches(target: Target, watchers: int) -> None:
    """Time from the request that changes a pod to the moment when the last of all watchers knows."""
    version = (await get(target, f"{target.pods}?limit=1"))["metadata"]["resourceVersion"]
    seen: list[asyncio.Queue[float]] = [asyncio.Queue() for _ in range(watchers)]
    tasks = [asyncio.ensure_future(follow(target, version, queue)) for queue in seen]
    await asyncio.sleep(2)
    delays = []
    for number in range(50):
        begun = time.perf_counter()
        await patch(target, str(number))
        moments = [await queue.get() for queue in seen]
        delays.append((max(moments) - begun) * 1000)
    target.note(f"a change, until the last of {watchers} watchers knows", spread(delays))
    begun = time.perf_counter()
    for number in range(200):
        await patch(target, f"b{number}")
    for queue in seen:
        for _ in range(200):
            await queue.get()
    target.note("events a second, all watchers together", f"{200 * watchers / (time.perf_counter() - begun):.0f}")
    target.note_memory(f"{watchers} watchers")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def patch(target: Target, value: str) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    data = json.dumps({"metadata": {"annotations": {"n": value}}})
    async with target.session.patch(f"{target.pods}/a1", data=data, headers=headers) as answer:
        assert answer.status == 200
        await answer.read()


async def follow(target: Target, version: str, seen: asyncio.Queue[float]) -> None:
    async with target.session.get(f"{target.pods}?watch=1&resourceVersion={version}") as answer:
        async for _line in answer.content:
            seen.put_nowait(time.perf_counter())


@asynccontextmanager
async def own_server() -> AsyncIterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens"
        tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
        command = [sys.executable, "-m", "emulator.kube", "--port", "0", "--state", folder, "--token-file", str(tokens)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "listening on http://" in line)
            async with session(TOKEN) as opened:
                yield Target(opened, line.rpartition(" ")[2].strip(), process.pid)
            process.terminate()
            process.communicate(timeout=20)


def measure_starts(starts: int) -> None:
    """Time from the start of the process to its first 200 of /readyz, with an empty state folder each time."""
    for what, tls in (("plain", ()), ("with TLS and a new certificate", ("--tls-port", "0"))):
        seen = [start(tls) for _ in range(starts)]
        for unit, seconds in zip(("s", "s of processor"), zip(*seen, strict=True), strict=True):
            figure = f"{median(seconds):.2f} {unit}  ({min(seconds):.2f} to {max(seconds):.2f}, {starts} runs)"
            print(f"{f'start to the first answer, {what}':<58} {figure}", flush=True)


def measure_alone(starts: int) -> None:
    """Time of `python -m emulator kube`, from the command to its word that all is ready, TLS and node included."""
    for what, api_only in (("API server only", True), ("a node and a registry", False)):
        first, again = zip(*(start_alone(api_only=api_only) for _ in range(starts)), strict=True)
        for when, seconds in (("empty state", first), ("again", again)):
            figure = f"{median(seconds):.2f} s  ({min(seconds):.2f} to {max(seconds):.2f}, {starts} runs)"
            print(f"{f'kube alone, {what}, {when}':<58} {figure}", flush=True)


def start_alone(*, api_only: bool) -> list[float]:
    """Start a cluster in an empty folder, and again; what each took."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        for _ in range(2):
            begun = time.perf_counter()
            with running_kubernetes(Path(folder) / "state", api_only=api_only):
                taken.append(time.perf_counter() - begun)
    return taken


def start(flags: Sequence[str]) -> tuple[float, float]:
    """Start a server once; return what it took until its first answer, by the clock and of the processor."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        tokens, port = Path(folder) / "tokens", taken.getsockname()[1]
        taken.close()
        tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
        command = [sys.executable, "-m", "emulator.kube", "--port", str(port), "--state", folder, *flags]
        begun = time.perf_counter()
        with subprocess.Popen([*command, "--token-file", str(tokens)], stderr=subprocess.DEVNULL) as process:
            while not is_ready(port):
                assert process.poll() is None
                time.sleep(0.002)
            clock_s, processor_s = time.perf_counter() - begun, cpu_s(process.pid)
            process.terminate()
    return clock_s, processor_s


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def session(token: str, authority: str | None = None) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None)
    headers = {"Authorization": f"Bearer {token}"}
    tls = ssl.create_default_context(cafile=authority) if authority else True
    return aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0, ssl=tls), timeout=timeout)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kube", description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--starts", type=int, default=10, help="how often the start is measured")
    parser.add_argument("--server", help="another server, http://host:port or https://host:port")
    parser.add_argument("--token", default="")
    parser.add_argument("--authority", help="file with the certificate that the other server is trusted by")
    parser.add_argument("--pid", type=int, help="the other server's process, to measure its memory")
    given = parser.parse_args()
    print(describe(), flush=True)
    if given.server:
        async with session(given.token, given.authority) as opened:
            await measure(Target(opened, given.server.rstrip("/"), given.pid), given.pods, given.watchers)
        return
    measure_starts(given.starts)
    measure_alone(given.starts)
    async with own_server() as target:
        await measure(target, given.pods, given.watchers)


if __name__ == "__main__":
    asyncio.run(main())
