"""One build from its first step to its last push: what a worker of Cloud Build does.

It can be taken up again by another process: the steps that have ended, and where in the log the output of the running
one begins, are remembered; pods have names that follow from the build.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from emulator.cloud.builds import pods
from emulator.cloud.builds.cluster import Cluster, ClusterError, Pod, pause
from emulator.cloud.builds.logs import Log
from emulator.cloud.builds.messages import Build, duration_s, timestamp
from emulator.cloud.builds.pods import StepEnd
from emulator.cloud.builds.push import Pusher, PushFailed

# For a cluster that is being started again.
PATIENCE_S = 60.0

Progress = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a build ended, in the fields of its message."""

    status: str
    detail: str = ""
    failure: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What executing builds needs: the cluster, the registry, and where their steps share files."""

    cluster: Cluster
    pusher: Pusher
    folder: Path
    extra: Mapping[str, Any]


class Execution:
    """*progress* is what an earlier execution has remembered; *remember* is called with more of it."""

    def __init__(
        self, build: Build, worker: Worker, log: Log, progress: Mapping[str, Any], remember: Callable[[Progress], None]
    ) -> None:
        self._build = build
        self._worker = worker
        self._log = log
        self._steps: list[Progress] = list(progress.get("steps", ()))
        self._remember = remember

    async def run(self) -> Ended:
        """Execute the steps that are left, then push."""
        if not self._steps:
            self._log.write(f'starting build "{self._build["id"]}"\n\nFETCHSOURCE\nBUILD')
        for number in range(len(self._build["steps"])):
            failed = await self._step(number)
            if failed is not None:
                return self._failed(failed)
        return await self._pushed()

    def stopped(self, status: str) -> Ended:
        """The end of a build that was cancelled, or took too long."""
        words = {"CANCELLED": "context canceled", "TIMEOUT": "context deadline exceeded"}
        detail = "" if status == "CANCELLED" else "Build timed out."
        self._log.write(f"{status}\nERROR: {words[status]}")
        return Ended(status=status, detail=detail, fields={"steps": self._steps_as(status)})

    async def _step(self, number: int) -> Ended | None:
        """None when the build goes on."""
        about = self._begun(number)
        if "status" not in about:
            try:
                about |= await self._within_time(number, about)
            except ClusterError as error:
                return self._broken(number, str(error))
            # Before its pod goes: a step whose end is known is not run again.
            self._keep()
            self._say_step(number, "Finished")
            await self._removed()
        if about["status"] == "SUCCESS":
            return None
        if about.get("ours"):
            return self._broken(number, about["problem"])
        if about["status"] == "FAILURE" and self._may_fail(number, about.get("exitCode", 0)):
            return None
        return self._step_failed(number, about)

    def _begun(self, number: int) -> Progress:
        if len(self._steps) <= number:
            self._say_step(number, "Starting")
            self._steps.append({"offset": self._log.size, "startTime": timestamp(time.time())})
            self._keep()
        return self._steps[number]

    def _keep(self) -> None:
        self._remember({"steps": self._steps})

    async def _within_time(self, number: int, about: Progress) -> Progress:
        limit_s = duration_s(self._build["steps"][number].get("timeout", ""))
        try:
            async with asyncio.timeout(limit_s or None):
                end = await self._run_pod(number, about["offset"])
            status = "SUCCESS" if not (end.exit_code or end.problem) else "FAILURE"
            done = {"status": status, "exitCode": end.exit_code, "problem": end.problem, "ours": end.ours}
        except TimeoutError:
            done = {"status": "TIMEOUT", "problem": "step timed out"}
        return done | {"endTime": timestamp(time.time())}

    async def _removed(self) -> None:
        # What stays is removed at the end of the build.
        with contextlib.suppress(ClusterError):
            await self._worker.cluster.remove(self._build["id"])

    async def _run_pod(self, number: int, offset: int) -> StepEnd:
        name = pods.pod_name(self._build["id"], number)
        manifest = pods.manifest(self._build, number, folder=self._worker.folder.resolve(), extra=self._worker.extra)
        seen = self._log.lines_after(offset)
        if await self._patiently(name) is None:
            if seen:
                return StepEnd(problem="the worker of the build was lost: its pod is gone", ours=True)
            await self._created(manifest)
        while True:
            pod = await self._patiently(name)
            if pod is None:
                return StepEnd(problem="the worker of the build was lost: its pod is gone", ours=True)
            end = pods.end_of(pod)
            if pods.started(pod):
                seen = await self._copy(name, seen, prefix=self._prefix(number))
            if end is not None:
                return end
            await pause()

    async def _created(self, manifest: Mapping[str, Any]) -> None:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self._worker.cluster.create(manifest)
            except ClusterError as error:
                if error.lasting or time.monotonic() > until:
                    raise
            await asyncio.sleep(0.5)

    async def _patiently(self, name: str) -> Pod | None:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self._worker.cluster.pod(name)
            except ClusterError:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(0.5)

    async def _copy(self, name: str, seen: int, *, prefix: str) -> int:
        """Append what the pod has written after its first *seen* lines, until it or the connection ends."""
        number = 0
        # Whatever ends the connection: the pod tells whether there is more.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async for line in self._worker.cluster.log(name):
                number += 1
                if number > seen:
                    self._log.append(line, prefix=prefix)
        return max(seen, number)

    async def _pushed(self) -> Ended:
        images: list[dict[str, Any]] = []
        wanted = self._build.get("images", ())
        if wanted:
            self._log.write("PUSH")
        store = pods.images_folder(self._worker.folder.resolve(), self._build["id"])
        for image in wanted:
            start = timestamp(time.time())
            self._log.write(f"Pushing {image}")
            try:
                digest, size = await self._worker.pusher.push(image, store)
            except PushFailed as error:
                self._log.write(str(error))
                return self._failed(Ended(status="FAILURE", detail=f"Build failure: {error}", failure=error.kind))
            self._log.write(f"{image.rpartition(':')[2]}: digest: {digest} size: {size}")
            pushed = {"startTime": start, "endTime": timestamp(time.time())}
            images.append({"name": image, "digest": digest, "pushTiming": pushed})
        self._log.write("DONE")
        results = {"images": images} if images else {}
        return Ended(status="SUCCESS", fields={"steps": self._steps_as("SUCCESS"), "results": results})

    def _failed(self, ended: Ended) -> Ended:
        words = "ERROR" if ended.status != "TIMEOUT" else "TIMEOUT"
        self._log.write(f"{words}\nERROR: {ended.detail.partition(': ')[2] or ended.detail}")
        return Ended(
            status=ended.status,
            detail=ended.detail,
            failure=ended.failure,
            fields={"steps": self._steps_as(ended.status)},
        )

    def _step_failed(self, number: int, about: Mapping[str, Any]) -> Ended:
        image = self._build["steps"][number]["name"]
        why = about.get("problem") or f"step exited with non-zero status: {about['exitCode']}"
        detail = f'Build step failure: build step {number} "{image}" failed: {why}'
        status = "TIMEOUT" if about["status"] == "TIMEOUT" else "FAILURE"
        return Ended(status=status, detail=detail, failure="USER_BUILD_STEP" if status == "FAILURE" else "")

    def _broken(self, number: int, why: str) -> Ended:
        return Ended(status="INTERNAL_ERROR", detail=f"Internal error: build step {number}: {why}")

    def _may_fail(self, number: int, exit_code: int) -> bool:
        step = self._build["steps"][number]
        return bool(step.get("allowFailure")) or exit_code in step.get("allowExitCodes", ())

    def _steps_as(self, status: str) -> list[dict[str, Any]]:
        """The steps as the build shows them after its end: the service tells nothing of a step before."""
        shown = []
        for number, step in enumerate(self._build["steps"]):
            about = self._steps[number] if number < len(self._steps) else {}
            done: dict[str, Any] = {"status": about.get("status") or ("QUEUED" if not about else status)}
            if about:
                done["timing"] = {name: about[name] for name in ("startTime", "endTime") if name in about}
            if about.get("exitCode"):
                done["exitCode"] = about["exitCode"]
            shown.append({**step, **done})
        return shown

    def _say_step(self, number: int, what: str) -> None:
        if len(self._build["steps"]) > 1:
            self._log.write(f"{what} {self._identifier(number)}")

    def _prefix(self, number: int) -> str:
        # As in the worker that Google published (build/build.go): the steps of a build are told apart, one is not.
        return f"{self._identifier(number)}: " if len(self._build["steps"]) > 1 else ""

    def _identifier(self, number: int) -> str:
        step_id = self._build["steps"][number].get("id", "")
        return f'Step #{number} - "{step_id}"' if step_id else f"Step #{number}"
