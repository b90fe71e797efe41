"""How soon a push is answered: `python -m benchmarks.webhooks`.

GitLab's deliveries to real instances of `webhook` over the stubs of `benchmarks.crowd_services` and SQLite. Each is of
a repository of its own, so each looks up the commit and the image and submits a build. A new instance is one whose
process starts when the delivery comes, as after scaling to zero.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from statistics import median

import aiohttp

from benchmarks.crowds import Hub, await_port, client, fetch, running
from benchmarks.machine import describe
from tests.fakes.deliveries import sample

SECRET = "s" * 32
TIMES = 100
AT_ONCE = 25
NEW_INSTANCES = 5
SLOW_S = 0.1


def main() -> None:
    print(describe())
    asyncio.run(_measure())


async def _measure() -> None:
    settings = {
        "BINDERLESS_WEBHOOKS__GITLAB_TOKENS": SECRET,
        "BINDERLESS_WEBHOOKS__REPOSITORIES": json.dumps(["gl/*"]),
    }
    with running(instances=1, target="webhook", settings=settings) as hub:
        async with client(keeps_connections=False) as http:
            for delay_s in (0.0, SLOW_S):
                await fetch(http, f"{hub.services}/stub/delay?seconds={delay_s}")
                await _with_services(hub, http, f"services answer after {delay_s * 1000:.0f} ms")


async def _with_services(hub: Hub, http: aiohttp.ClientSession, services: str) -> None:
    print(f"\n{services}")
    url, name = hub.instances[0], uuid.uuid4().hex
    one_by_one = [await push(http, url, f"{name}-{number}") for number in range(TIMES)]
    tell("one after another", one_by_one)
    gate = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number: int) -> float:
        async with gate:
            return await push(http, url, f"{name}-crowd-{number}")

    tell(f"{AT_ONCE} at once", await asyncio.gather(*(in_turn(number) for number in range(TIMES))))
    tell("the same branch again", [await push(http, url, f"{name}-0") for _ in range(TIMES)])
    new = []
    for number in range(NEW_INSTANCES):
        begun = time.monotonic()
        instance = hub.start()
        await asyncio.to_thread(await_port, instance)
        started_s = time.monotonic() - begun
        new.append(started_s + await push(http, instance, f"{name}-new-{number}"))
    tell("by a new instance, its start included", new)


async def push(http: aiohttp.ClientSession, url: str, name: str) -> float:
    """Seconds until a push to the repository *name* is answered."""
    payload = sample("gitlab-push-branch")
    payload["project"]["path_with_namespace"] = f"owner/{name}"
    headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET, "Idempotency-Key": str(uuid.uuid4())}
    begun = time.monotonic()
    async with http.post(f"{url}/webhooks/gitlab", json=payload, headers=headers) as answer:
        told = await answer.json()
    assert answer.status == 202, told
    return time.monotonic() - begun


def tell(what: str, seconds: list[float]) -> None:
    print(f"  {what}: {median(seconds):.3f} s, at most {max(seconds):.3f} s ({len(seconds)} pushes)")


if __name__ == "__main__":
    main()
