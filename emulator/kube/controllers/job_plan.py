"""What a job needs next: a pure decision over the job, its pods and the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from emulator.kube.controllers.job_indexes import first_of_each, free, index_of, is_indexed, merged, read, text_of
from emulator.kube.controllers.job_suspension import Event, suspension
from emulator.kube.objects import (
    Object,
    clone,
    dig,
    has_condition,
    is_deleting,
    is_finished,
    later,
    metadata,
    moment_of,
    timestamp,
)

# A pod keeps this finalizer until it is counted, so that none is forgotten (as in Kubernetes since 1.26).
TRACKING = "batch.kubernetes.io/job-tracking"
LONGEST_BACKOFF = timedelta(minutes=6)

BACKOFF = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the status to write, the pods to create, which to let go and which to delete.

    A pod to create is told its index, which is None where pods have none. `news` are worth an event.
    """

    status: Object
    create: Sequence[int | None] = ()
    release: Sequence[Object] = ()
    delete: Sequence[Object] = ()
    ended: tuple[str, str, str] | None = field(default=None)
    again_at: datetime | None = None
    news: Event | None = None


def is_ended(job: Object) -> bool:
    """Tell whether a job has succeeded or failed for good."""
    return has_condition(job, "Complete") or has_condition(job, "Failed")


def plan(job: Object, pods: Sequence[Object], *, now: datetime, backoff: timedelta) -> Plan:
    """Decide what an unfinished job needs."""
    spec, status = job["spec"], clone(job.get("status") or {})
    news = suspension(spec, status, now)
    # A pod that is being deleted is as good as failed, unless it still says that it has succeeded.
    uncounted = [pod for pod in pods if _is_tracked(pod) and (is_finished(pod) or is_deleting(pod))]
    won = [pod for pod in uncounted if dig(pod, "status", "phase") == "Succeeded"]
    succeeded = _add_won(spec, status, won)
    failed = _add(status, "failed", len(uncounted) - len(won))
    active = [pod for pod in pods if not is_finished(pod) and not is_deleting(pod)]
    deadline = _deadline(spec, status)
    if end := _end_of(spec, succeeded, failed, active, overdue=deadline is not None and now >= deadline):
        return _end(status, uncounted, active, end, now)
    missing, surplus = _crew(spec, status, active, _wanted(spec, succeeded, len(active)))
    ready_at = _ready_at(pods, failed, backoff, now) if missing else None
    if ready_at and ready_at > now:
        missing = ()
    _count(status, "active", len(active) - len(surplus) + len(missing))
    status["ready"] = sum(has_condition(pod, "Ready") for pod in active if not any(pod is each for each in surplus))
    again_at = min((time for time in (deadline, ready_at) if time and time > now), default=None)
    # Those that are too many have not failed: they are not counted.
    return Plan(status, missing, [*uncounted, *surplus], surplus, None, again_at, news)


def _end_of(
    spec: Object, succeeded: int, failed: int, active: Sequence[Object], *, overdue: bool
) -> tuple[str, str, str] | None:
    """Return the condition that a job ends with (type, reason, message), or None where it goes on."""
    if overdue:
        return ("Failed", *DEADLINE)
    if failed > spec["backoffLimit"] or _restarted_too_often(spec, active):
        return ("Failed", *BACKOFF)
    return ("Complete", "", "") if _is_complete(spec, succeeded, active) else None


def _is_tracked(pod: Object) -> bool:
    return TRACKING in (metadata(pod).get("finalizers") or [])


def _add_won(spec: Object, status: Object, won: Sequence[Object]) -> int:
    """Count the pods that have succeeded since the last look; return how many that are in all, or how many indexes."""
    if not is_indexed(spec):
        return _add(status, "succeeded", len(won))
    below = int(spec["completions"])
    indexes = [index for pod in won if (index := index_of(pod)) is not None and index < below]
    done = merged([*_done(spec, status), *(range(index, index + 1) for index in indexes)])
    status.pop("completedIndexes", None)
    if done:
        status["completedIndexes"] = text_of(done)
    _count(status, "succeeded", sum(map(len, done)))
    return int(status.get("succeeded", 0))


def _done(spec: Object, status: Object) -> list[range]:
    return read(str(status.get("completedIndexes") or ""), below=int(spec["completions"]))


def _crew(
    spec: Object, status: Object, active: Sequence[Object], wanted: int
) -> tuple[Sequence[int | None], Sequence[Object]]:
    """Return what is missing of the *wanted* pods, and those that are too many."""
    if not is_indexed(spec):
        return (None,) * max(wanted - len(active), 0), active[wanted:]
    done, below = _done(spec, status), int(spec["completions"])
    by_index = first_of_each(active, done, below=below)
    kept = [*by_index.values()][:wanted]
    missing = tuple(islice(free(done, by_index, below=below), wanted - len(kept)))
    return missing, [pod for pod in active if not any(pod is each for each in kept)]


def _add(status: Object, name: str, more: int) -> int:
    _count(status, name, int(status.get(name, 0)) + more)
    return int(status.get(name, 0))


def _count(status: Object, name: str, number: int) -> None:
    status.pop(name, None)
    if number:
        status[name] = number


def _deadline(spec: Object, status: Object) -> datetime | None:
    """Return when the time of a job is over; one that is suspended has none, and some are further than time reaches."""
    seconds, started = spec.get("activeDeadlineSeconds"), moment_of(status.get("startTime"))
    if seconds is None or started is None or spec.get("suspend"):
        return None
    return later(started, seconds)


def _restarted_too_often(spec: Object, active: Sequence[Object]) -> bool:
    if dig(spec, "template", "spec", "restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        int(status.get("restartCount", 0))
        for pod in active
        for group in ("initContainerStatuses", "containerStatuses")
        for status in dig(pod, "status", group) or []
    )
    # With OnFailure the kubelet tries again, and its tries count.
    return restarts > 0 and restarts >= spec["backoffLimit"]


def _is_complete(spec: Object, succeeded: int, active: Sequence[Object]) -> bool:
    if "completions" in spec:
        return succeeded >= int(spec["completions"])
    # The queue form: one success means that the work is done, the others finish what they have.
    return succeeded > 0 and not active


def _wanted(spec: Object, succeeded: int, active: int) -> int:
    if spec.get("suspend"):
        return 0
    parallelism = int(spec["parallelism"])
    if "completions" in spec:
        return min(parallelism, int(spec["completions"]) - succeeded)
    # Of a queue, those that work finish what they have once there was a success.
    return active if succeeded else parallelism


def _ready_at(pods: Sequence[Object], failed: int, backoff: timedelta, now: datetime) -> datetime | None:
    """Return when a pod that failed may have a successor: the pause doubles with every failure."""
    if not failed:
        return None
    ends = [_ended_at(pod) or now for pod in pods if dig(pod, "status", "phase") == "Failed"]
    # Pods that were deleted have no end to wait from; their successors come at once.
    return max(ends) + min(backoff * 2 ** min(failed - 1, 20), LONGEST_BACKOFF) if ends else None


def _ended_at(pod: Object) -> datetime | None:
    states = [status.get("state") or {} for status in dig(pod, "status", "containerStatuses") or []]
    moments = [moment_of(dig(state, "terminated", "finishedAt")) for state in states]
    known = [moment for moment in moments if moment]
    return max(known) if known else moment_of(metadata(pod).get("creationTimestamp"))


def _end(
    status: Object, uncounted: Sequence[Object], active: Sequence[Object], why: tuple[str, str, str], now: datetime
) -> Plan:
    kind, reason, message = why
    if kind == "Failed":
        _add(status, "failed", len(active))
    else:
        status["completionTime"] = timestamp(now)
    _count(status, "active", 0)
    status["ready"] = 0
    moment = timestamp(now)
    ended = {"type": kind, "status": "True", "lastProbeTime": moment, "lastTransitionTime": moment}
    if reason:
        ended |= {"reason": reason, "message": message}
    status["conditions"] = [*(status.get("conditions") or []), ended]
    return Plan(status, (), [*uncounted, *active], active, why)
