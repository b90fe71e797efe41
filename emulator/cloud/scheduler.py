"""Calls HTTP targets on time, as Cloud Scheduler does: at least once, and without waiting for the run before.

https://cloud.google.com/scheduler/docs/reference/rpc/google.cloud.scheduler.v1#httptarget
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from emulator.cloud.schedule import Job

log = logging.getLogger(__name__)

# A target that hangs shall not pile up runs for half an hour.
MAX_OVERLAPPING = 10

SignToken = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended: the last answer's status, None when there was none."""

    job: str
    status: int | None
    attempts: int


class Scheduler:
    """Runs jobs on schedule from `start` to `close`, and any of them when asked."""

    def __init__(
        self,
        jobs: Sequence[Job],
        sign: SignToken,
        http: aiohttp.ClientSession,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._sign = sign
        self._http = http
        self._clock = clock
        self._tasks: set[asyncio.Task[None] | asyncio.Task[Run]] = set()
        self._running = dict.fromkeys(self._jobs, 0)

    def start(self) -> None:
        """Begin to run every job on its schedule."""
        for job in self._jobs.values():
            self._keep(asyncio.create_task(self._follow(job)))

    async def close(self) -> None:
        """Stop; runs under way are abandoned."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def job(self, name: str) -> Job | None:
        return self._jobs.get(name)

    async def run(self, job: Job) -> Run:
        """Run the job now, with its retries, and return how it ended."""
        self._running[job.name] += 1
        try:
            outcome = await self._attempts(job)
        finally:
            self._running[job.name] -= 1
        log.info("job %s: status %s after %d attempts", job.name, outcome.status, outcome.attempts)
        return outcome

    async def _follow(self, job: Job) -> None:
        due = self._clock()
        while True:
            # Timers may be early by the wall clock, which must not make the same run due again.
            due = job.next_run(max(due, self._clock()))
            await asyncio.sleep(max(0.0, due - self._clock()))
            if self._running[job.name] < MAX_OVERLAPPING:
                self._keep(asyncio.create_task(self.run(job)))
            else:
                log.warning("job %s: skipped, %d runs have not ended yet", job.name, MAX_OVERLAPPING)

    def _keep(self, task: asyncio.Task[None] | asyncio.Task[Run]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempts(self, job: Job) -> Run:
        scheduled_at = datetime.fromtimestamp(self._clock(), UTC).isoformat()
        status = None
        for attempt in range(job.retry_count + 1):
            if attempt:
                await asyncio.sleep(job.min_backoff_s * 2 ** (attempt - 1))
            status = await self._call(job, scheduled_at)
            if status is not None and 200 <= status < 300:
                break
        return Run(job.name, status, attempt + 1)

    async def _call(self, job: Job, scheduled_at: str) -> int | None:
        headers = {
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": job.name,
            "X-CloudScheduler-ScheduleTime": scheduled_at,
        }
        if job.service_account_email:
            token = self._sign(job.service_account_email, job.audience or job.uri)
            headers["Authorization"] = f"Bearer {token}"
        timeout = aiohttp.ClientTimeout(total=job.attempt_deadline_s)
        try:
            async with self._http.request(
                job.http_method, job.uri, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("job %s: %s", job.name, type(error).__name__)
            return None
