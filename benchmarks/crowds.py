"""Many people at once, over real instances of `build`: `python -m benchmarks.crowds [workshop] [watchers] …`.

* workshop: 500 people click one link whose image is missing; the Hub takes 64 starts at once.
* watchers: 1,000 people watch one build that writes ten lines a second.
* neighbours: a short build alone, and while 64 people watch another one.
* repeat: launches of a known link, one after another: what each costs, and what services are asked.

The services are the stubs of `benchmarks.crowd_services`, the store is SQLite, an instance is functions-framework with
250 threads. Requests go to the instances in turn. Everything is on loopback, and ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote

import aiohttp

from benchmarks.machine import cpu_s, describe, family, pss_mib
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
THREADS = 250
PATIENCE_S = 240.0


@dataclass
class Story:
    """What one person was told: when it ended, in seconds from the click, how late lines came, and how it ended."""

    seconds: float = 0.0
    phase: str = ""
    lines: int = 0
    late: list[float] = field(default_factory=list)
    message: str = ""


@dataclass
class Hub:
    """Instances over the stubs; `start` adds one, which may not listen yet, and tells its address."""

    services: str
    instances: list[str]
    processes: list[subprocess.Popen[bytes]]
    start: Callable[[], str]

    def cpu_s(self) -> float:
        """Processor seconds that all instances have used."""
        return sum(cpu_s(pid) for process in self.processes for pid in family(process.pid))

    def memory_mib(self) -> float:
        return sum(pss_mib(pid) for process in self.processes for pid in family(process.pid))


def main() -> None:
    scenarios = {"workshop": workshop, "watchers": watchers, "neighbours": neighbours, "repeat": repeat}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crowds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", nargs="*", help=f"{', '.join(scenarios)}; all of them if none is named")
    wished = parser.parse_args().scenario
    if unknown := sorted(set(wished) - set(scenarios)):
        parser.error(f"there is no {', '.join(unknown)}")
    print(describe())
    for name in wished or scenarios:
        print(f"\n{name}")
        asyncio.run(scenarios[name]())


async def workshop(people: int = 500) -> None:
    """One uncached link, everybody at once."""
    with running(instances=3) as hub:
        async with client() as http:
            await plan(hub, http, lines=200, seconds=10)
            stories = await asyncio.gather(*(launch(hub, http, n, "workshop") for n in range(people)))
            tell(stories)
            await tell_counts(hub, http)


async def watchers(people: int = 1000) -> None:
    """One build that talks for half a minute."""
    with running(instances=5) as hub:
        async with client() as http:
            await plan(hub, http, lines=300, seconds=30)
            before, begun = hub.cpu_s(), time.monotonic()
            watching = [asyncio.create_task(launch(hub, http, n, "watched", until="built")) for n in range(people)]
            await asyncio.sleep(20)
            memory = hub.memory_mib()
            stories = await asyncio.gather(*watching)
            tell(stories)
            late = [seconds for story in stories for seconds in story.late]
            cuts = quantiles(late, n=100)
            print(f"  a line reaches a watcher after {median(late):.2f} s (99 % within {cuts[98]:.2f} s)")
            print(f"  lines told {min(s.lines for s in stories)} to {max(s.lines for s in stories)} of 300")
            busy = (hub.cpu_s() - before) / (time.monotonic() - begun)
            print(f"  5 instances: {busy:.2f} cores, {memory:.0f} MiB while watching")
            await tell_counts(hub, http)


async def neighbours() -> None:
    """A short build alone, then beside one that 64 people watch."""
    with running(instances=2) as hub:
        async with client() as http:
            await plan(hub, http, lines=20, seconds=2)
            alone = [await launch(hub, http, n, f"short-{n}", until="built") for n in range(5)]
            await plan(hub, http, lines=600, seconds=40)
            crowd = [asyncio.create_task(launch(hub, http, n, "long", until="built")) for n in range(64)]
            await asyncio.sleep(3)
            await plan(hub, http, lines=20, seconds=2)
            beside = [await launch(hub, http, n, f"other-{n}", until="built") for n in range(5)]
            for task in crowd:
                task.cancel()
            for name, stories in (("alone", alone), ("beside 64 watchers", beside)):
                print(f"  a build of 2 s, {name}: {median(s.seconds for s in stories):.2f} s to its end")


async def repeat(times: int = 50) -> None:
    """A link whose image is there and whose commit is known; fewer times than the Hub takes starts at once."""
    with running(instances=1) as hub:
        async with client() as http:
            await plan(hub, http, lines=1, seconds=0.1)
            await launch(hub, http, 0, "known")
            await fetch(http, f"{hub.services}/stub/counts")
            before = hub.cpu_s()
            stories = [await launch(hub, http, n, "known", until="launching") for n in range(times)]
            cpu_ms = (hub.cpu_s() - before) / times * 1000
            first = median(story.seconds for story in stories)
            print(f"  click to the Hub's start {first * 1000:.0f} ms; {cpu_ms:.1f} ms of processor a launch")
            await tell_counts(hub, http, times)


async def launch(hub: Hub, http: aiohttp.ClientSession, number: int, repo: str, *, until: str = "ready") -> Story:
    """Follow one launch to the phase *until*, or to its end."""
    url = hub.instances[number % len(hub.instances)]
    spec = f"{quote(f'{hub.services}/owner/{repo}', safe='')}/HEAD"
    story, begun = Story(), time.monotonic()
    async with http.get(f"{url}/build/git/{spec}", headers={"Accept": "text/event-stream"}) as answer:
        async for event in _events(answer):
            story.phase, story.message = event["phase"], event["message"]
            if story.message.startswith("line "):
                story.lines += 1
                story.late.append(time.time() - float(story.message.split()[3]))
            if story.phase in (until, "ready", "failed"):
                break
    story.seconds = time.monotonic() - begun
    return story


def tell(stories: list[Story]) -> None:
    """How they ended, and after how long."""
    ends = {phase: sum(story.phase == phase for story in stories) for phase in {story.phase for story in stories}}
    seconds = sorted(story.seconds for story in stories)
    print(f"  {ends}; first {seconds[0]:.1f} s, half {median(seconds):.1f} s, last {seconds[-1]:.1f} s")
    print(*(f"  {story.message}" for story in stories if story.phase == "failed"), sep="", end="")


async def tell_counts(hub: Hub, http: aiohttp.ClientSession, launches: int = 0) -> None:
    """What the services were asked; a launch, where *launches* is given."""
    found = await fetch(http, f"{hub.services}/stub/counts")
    counts = sorted(found["counts"].items())
    told = (f"{name} {count / launches:.2f}" if launches else f"{name} {count}" for name, count in counts)
    print(f"  {'a launch asks' if launches else 'asked'}: {', '.join(told)}")
    print(f"  servers started {len(found['started'])}, at once at most {found['most_starting']}")


async def plan(hub: Hub, http: aiohttp.ClientSession, **build: float) -> None:
    query = "&".join(f"{name}={value}" for name, value in build.items())
    await fetch(http, f"{hub.services}/stub/build?{query}")


async def fetch(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as answer:
        return await answer.json()


def client(*, keeps_connections: bool = True) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    connector = aiohttp.TCPConnector(limit=0, force_close=not keeps_connections)
    return aiohttp.ClientSession(connector=connector, timeout=timeout)


@contextlib.contextmanager
def running(*, instances: int, target: str = "build", settings: Mapping[str, str] | None = None) -> Iterator[Hub]:
    """The stubs and some instances of one function, ended at the end; more are started by `start`."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        services = free_port()
        stack.enter_context(_process(["-m", "benchmarks.crowd_services", "--port", str(services)], {}))
        environment = {**_settings(f"http://127.0.0.1:{services}", Path(folder)), **(settings or {})}

        def start() -> str:
            port = free_port()
            command = ["-m", "functions_framework", "--target", target]
            found.processes.append(stack.enter_context(_process(command, {**environment, "PORT": str(port)})))
            found.instances.append(f"http://127.0.0.1:{port}")
            return found.instances[-1]

        found = Hub(f"http://127.0.0.1:{services}", [], [], start)
        for _ in range(instances):
            start()
        for url in (found.services, *found.instances):
            await_port(url)
        yield found


def _settings(services: str, folder: Path) -> dict[str, str]:
    kubeconfig = folder / "kubeconfig"
    cluster = {"clusters": [{"name": "stub", "cluster": {"server": services}}]}
    contexts = [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}]
    users = [{"name": "stub", "user": {"token": "stub"}}]
    kubeconfig.write_text(json.dumps({**cluster, "contexts": contexts, "users": users, "current-context": "stub"}))
    return {
        "KUBECONFIG": str(kubeconfig),
        "HOST": "127.0.0.1",
        "WORKERS": "1",
        "THREADS": str(THREADS),
        "BINDERLESS_HUB__URL": f"{services}/",
        "BINDERLESS_HUB__API_URL": f"{services}/hub/api",
        "BINDERLESS_HUB__TOKEN": "token",
        "BINDERLESS_REGISTRY__URL": services,
        "BINDERLESS_REGISTRY__IMAGE_PREFIX": f"{services.partition('//')[2]}/r2d-",
        "BINDERLESS_GITLAB__URL": f"{services}/",
        "BINDERLESS_PROVIDERS__ALLOW_HTTP": "true",
        "BINDERLESS_PROVIDERS__ALLOW_PRIVATE_ADDRESSES": "true",
        "BINDERLESS_LAUNCHES__SECRET": "0" * 32,
        "BINDERLESS_STORE__PATH": str(folder / "store.sqlite"),
    }


@contextlib.contextmanager
def _process(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        # Workers outlive a server that is killed, for as long as their streams do.
        all_of_it = family(process.pid)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        for pid in all_of_it:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def await_port(url: str) -> None:
    """Until something listens at *url*."""
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(_host(url), timeout=1)):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(url)
        time.sleep(0.05)


def _host(url: str) -> tuple[str, int]:
    host, _, port = url.partition("//")[2].partition("/")[0].partition(":")
    return host, int(port)


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


if __name__ == "__main__":
    main()
