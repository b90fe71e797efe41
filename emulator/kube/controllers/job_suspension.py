"""Suspended jobs: their condition, and a time that begins anew when they are resumed."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from emulator.kube.objects import Object, condition, timestamp


class Event(NamedTuple):
    """What is told about a job."""

    reason: str
    message: str


def suspension(spec: Object, status: Object, now: datetime) -> Event | None:
    """Write into the status of an unfinished job whether it is suspended; return what is new in that.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job
    """
    suspended = bool(spec.get("suspend"))
    if not suspended:
        status.setdefault("startTime", timestamp(now))
    known = condition({"status": status}, "Suspended")
    if suspended == (known is not None and known.get("status") == "True"):
        return None
    if not suspended:
        status["startTime"] = timestamp(now)
    word = "Suspended" if suspended else "Resumed"
    new = {"type": "Suspended", "status": str(suspended), "lastProbeTime": timestamp(now)}
    new |= {"lastTransitionTime": timestamp(now), "reason": f"Job{word}", "message": f"Job {word.lower()}"}
    status["conditions"] = [*(each for each in status.get("conditions") or [] if each is not known), new]
    return Event(word, f"Job {word.lower()}")
