"""What a Job and its pods tell about a build. Pure: objects as Kubernetes sends them go in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from functions.adapters.builds.job import CONTAINER
from functions.core.ports import BuildReport, BuildStatus

Object = Mapping[str, Any]

# The pod did not end by itself: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
_INTERRUPTED = (
    *("Evicted", "NodeAffinity", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"),
    *("OutOfcpu", "OutOfmemory", "OutOfephemeral-storage", "OutOfpods", "UnexpectedAdmissionError"),
)
# Waiting will not help: https://kubernetes.io/docs/concepts/containers/images/
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
# 128 + SIGKILL, SIGTERM: repo2docker ends by itself with other codes.
_KILLED = (137, 143)
_LONGEST_REASON = 1000


def report(job: Object, pods: Sequence[Object] = ()) -> BuildReport:
    """Where the build of *job* stands, given the pods that are still there."""
    status = status_of(job)
    if status is BuildStatus.SUCCESS:
        return _report(job, status)
    if status is BuildStatus.TIMEOUT:
        limit = job["spec"].get("activeDeadlineSeconds", 0)
        return _report(job, status, f"The build was stopped because it took longer than {limit} seconds.")
    if status is BuildStatus.FAILURE:
        return _failure(job, pods)
    return _progress(job, pods)


def status_of(job: Object) -> BuildStatus:
    """What *job* alone says; WORKING until it has ended."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition["type"] == "Complete":
            return BuildStatus.SUCCESS
        if condition["type"] == "Failed":
            late = condition.get("reason") == "DeadlineExceeded"
            return BuildStatus.TIMEOUT if late else BuildStatus.FAILURE
    return BuildStatus.WORKING


def finished_at(job: Object) -> datetime | None:
    """When *job* ended; None while it runs."""
    status = job.get("status", {})
    times = [
        condition.get("lastTransitionTime")
        for condition in status.get("conditions") or ()
        if condition["type"] in ("Complete", "Failed") and condition.get("status") == "True"
    ]
    time = status.get("completionTime") or next(filter(None, times), None)
    return datetime.fromisoformat(time) if time else None


def last_failure(lines: Iterable[str]) -> str:
    """What repo2docker's JSON log says last about a failure, or nothing."""
    found = ""
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            # Strangers' code writes to this log too.
            continue
        if isinstance(entry, dict) and entry.get("phase") == "failed":
            found = str(entry.get("message", "")).strip() or found
    return found[:_LONGEST_REASON]


def _failure(job: Object, pods: Sequence[Object]) -> BuildReport:
    if not pods:
        return _broken(job, "The build was interrupted: its pod is gone.")
    pod = pods[-1].get("status", {})
    ended = _state(pod, "terminated")
    if ended.get("reason") == "OOMKilled":
        return _report(job, BuildStatus.FAILURE, "The build needed more memory than a build may use.")
    if pod.get("reason") in _INTERRUPTED or ended.get("exitCode", -1) in (-1, *_KILLED):
        why = pod.get("message") or pod.get("reason") or ended.get("reason") or "no reason is known"
        return _broken(job, f"The build was interrupted: {why}.".replace("..", "."))
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return _broken(job, f"The build could not be started: {ended.get('message', ended['reason'])}")
    return _report(job, BuildStatus.FAILURE, f"repo2docker ended with exit code {ended['exitCode']}.")


def _progress(job: Object, pods: Sequence[Object]) -> BuildReport:
    waiting = _state(pods[-1].get("status", {}), "waiting") if pods else {}
    why = f"{waiting.get('reason', '')}: {waiting.get('message', '')}".strip(": ")
    if waiting.get("reason") in _HOPELESS:
        return _broken(job, f"The build cannot start: {why}")
    started = any(pod.get("status", {}).get("phase", "Pending") != "Pending" for pod in pods)
    if started:
        return _report(job, BuildStatus.WORKING)
    stuck = waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff")
    return _report(job, BuildStatus.QUEUED, f"The build is waiting to start: {why}" if stuck else "")


def _state(pod_status: Object, name: str) -> Object:
    """The *name* state of our container; empty when it is in another, or there is no such container yet."""
    for container in pod_status.get("containerStatuses") or ():
        if container["name"] == CONTAINER:
            state: Object = container.get("state", {}).get(name) or {}
            return state
    return {}


def _broken(job: Object, reason: str) -> BuildReport:
    return _report(job, BuildStatus.INTERNAL_ERROR, reason, our_fault=True)


def _report(job: Object, status: BuildStatus, reason: str = "", *, our_fault: bool = False) -> BuildReport:
    return BuildReport(
        backend_id=job["metadata"]["name"],
        status=status,
        reason=reason[:_LONGEST_REASON],
        our_fault=our_fault,
        finished_at=finished_at(job),
    )
