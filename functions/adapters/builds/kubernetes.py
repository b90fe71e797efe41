"""Builds as Kubernetes Jobs. The backend id of a build is the name of its Job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from functions.adapters.builds.job import JobSettings, job_manifest
from functions.adapters.builds.job_status import last_failure, report, status_of
from functions.adapters.builds.jobs_api import JobsApi, Object, Refused
from functions.adapters.builds.pod_log import Cursor, parse_cursor, read_on, split_lines
from functions.core.errors import UpstreamError
from functions.core.ports import BuildReport, BuildRequest, BuildStatus, LogChunk

_MAX_BYTES = 512 * 1024
_LAST_LINES = "50"


class KubernetesBuilds:
    """Builds in the namespace of *jobs*; several instances may share it."""

    def __init__(self, jobs: JobsApi, settings: JobSettings) -> None:
        self._jobs = jobs
        self._settings = settings

    def submit(self, request: BuildRequest) -> str:
        self._jobs.create(job_manifest(request, self._settings))
        return request.name

    def status(self, backend_id: str) -> BuildReport | None:
        job = self._jobs.get(backend_id)
        if job is None:
            return None
        pods = self._jobs.pods(backend_id)
        found = report(job, pods)
        if found.status is not BuildStatus.FAILURE or not pods:
            return found
        return replace(found, reason=self._last_failure(pods[-1]) or found.reason)

    def log(self, backend_id: str, cursor: str = "") -> LogChunk:
        here = parse_cursor(cursor) if cursor else self._beginning(backend_id)
        if here is None:
            return LogChunk(lines=(), cursor="")
        options = [("timestamps", "true")]
        if here.seen:
            options.append(("sinceTime", here.since))
        try:
            with self._jobs.log(here.pod, *options) as pieces:
                lines, after = read_on(split_lines(pieces), here, max_bytes=_MAX_BYTES)
        except Refused as refused:
            # 400: the container has not started yet, or never will. 404: the pod is gone.
            if refused.status not in (400, 404):
                raise UpstreamError("Kubernetes", f"did not give a log: {refused.message}") from refused
            return LogChunk(lines=(), cursor=cursor)
        return LogChunk(lines=tuple(lines), cursor=str(after))

    def cancel(self, backend_id: str) -> None:
        job = self._jobs.get(backend_id)
        if job is not None and not status_of(job).terminal:
            self._jobs.delete(backend_id)

    def list(self) -> Sequence[BuildReport]:
        jobs, _ = self._jobs.jobs()
        pods_of: dict[str, list[Object]] = defaultdict(list)
        for pod in self._jobs.pods():
            pods_of[pod["metadata"]["labels"].get("job-name", "")].append(pod)
        return [report(job, pods_of[job["metadata"]["name"]]) for job in jobs]

    def _beginning(self, backend_id: str) -> Cursor | None:
        pods = self._jobs.pods(backend_id)
        return Cursor(pods[-1]["metadata"]["name"]) if pods else None

    def _last_failure(self, pod: Object) -> str:
        try:
            with self._jobs.log(pod["metadata"]["name"], ("tailLines", _LAST_LINES)) as pieces:
                return last_failure(line.decode(errors="replace") for line in split_lines(pieces))
        except (Refused, UpstreamError):
            # That it failed is known; why is told by the exit code then.
            return ""
