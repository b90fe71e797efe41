"""Which build runs when: as many at a time as the quota says, in the order of their creation, each within its time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time

from emulator.cloud.builds.cluster import ClusterError
from emulator.cloud.builds.execution import Ended, Execution, Worker
from emulator.cloud.builds.logs import Buckets
from emulator.cloud.builds.messages import TERMINAL, Build, duration_s, seconds_of, timestamp
from emulator.cloud.builds.service import Builds

log = logging.getLogger(__name__)


class Queue:
    """The builds that have not ended, each a task; after a restart they are taken up where they were."""

    def __init__(self, builds: Builds, buckets: Buckets, worker: Worker, *, concurrent: int) -> None:
        self._builds = builds
        self._buckets = buckets
        self._worker = worker
        self._slots = asyncio.Semaphore(concurrent)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def full(self) -> bool:
        """Whether a build that comes now has to wait."""
        return self._slots.locked()

    def start(self) -> None:
        """Take up what an earlier process has left, first of all what was running."""
        left = self._builds.unfinished()
        self._sweep({stored.build["id"] for stored in left})
        for stored in sorted(left, key=lambda each: each.build["status"] != "WORKING"):
            self.take(stored.build["id"])

    def _sweep(self, open_ids: set[str]) -> None:
        """Remove what builds have left that were still writing when their files were removed."""
        for folder in self._worker.folder.glob("*"):
            if folder.name not in open_ids:
                shutil.rmtree(folder, ignore_errors=True)

    def take(self, build_id: str) -> None:
        """See a build through to its end."""
        task = asyncio.create_task(self._live(build_id))
        self._tasks[build_id] = task
        task.add_done_callback(lambda _done: self._tasks.pop(build_id, None))

    async def cancel(self, build_id: str) -> Build:
        """Stop a build, whatever it is doing; returns it as it ended."""
        if task := self._tasks.get(build_id):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        stored = self._builds.current(build_id)
        if stored.build["status"] in TERMINAL:
            return stored.build
        if stored.build["status"] != "WORKING":
            return self._builds.end(stored.build, Ended(status="CANCELLED"))
        await self._clean_up(build_id)
        return self._end(stored.build, self._execution(stored.build).stopped("CANCELLED"))

    async def close(self) -> None:
        """Let go of all builds; they stay as they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, build_id: str) -> None:
        build = self._builds.current(build_id).build
        if build["status"] != "WORKING" and not await self._slot_in_time(build):
            self._builds.end(build, Ended(status="EXPIRED", detail="Build expired in the queue."))
            return
        if build["status"] == "WORKING":
            await self._slots.acquire()
        try:
            await self._work(build)
        finally:
            self._slots.release()

    async def _slot_in_time(self, build: Build) -> bool:
        left_s = seconds_of(build["createTime"]) + duration_s(build["queueTtl"]) - time.time()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                await self._slots.acquire()
        except TimeoutError:
            return False
        return True

    async def _work(self, build: Build) -> None:
        if build["status"] == "PENDING":
            build = self._builds.move(build, "QUEUED")
        if build["status"] == "QUEUED":
            build = self._builds.move(build, "WORKING", startTime=timestamp(time.time()))
        execution = self._execution(build)
        left_s = seconds_of(build["startTime"]) + duration_s(build["timeout"]) - time.time()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                ended = await execution.run()
        except TimeoutError:
            ended = execution.stopped("TIMEOUT")
        except Exception:
            # One build must not be able to stay open for ever because of a mistake of ours.
            log.exception("build %s", build["id"])
            ended = Ended(status="INTERNAL_ERROR", detail="Internal error.")
        await self._clean_up(build["id"])
        self._end(build, ended)

    def _execution(self, build: Build) -> Execution:
        build_id = build["id"]
        progress = self._builds.current(build_id).progress
        return Execution(
            build,
            self._worker,
            self._buckets.log_of(build),
            progress,
            lambda more: self._builds.remember(build_id, more),
        )

    def _end(self, build: Build, ended: Ended) -> Build:
        self._buckets.log_of(build).close()
        return self._builds.end(build, ended)

    async def _clean_up(self, build_id: str) -> None:
        with contextlib.suppress(ClusterError):
            await self._worker.cluster.remove(build_id)
        await asyncio.to_thread(shutil.rmtree, self._worker.folder / build_id, ignore_errors=True)
