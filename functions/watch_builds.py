"""Announces the end of builds that run as Kubernetes Jobs, with the message that Cloud Build sends.

Functions cannot watch; this small process does it for them: `python -m functions watch-builds`. It remembers nothing
beyond its own life and may be killed at any time: when it starts it announces all ended builds that Kubernetes still
knows, and whoever gets the messages takes each for a hint.

https://cloud.google.com/build/docs/subscribe-build-notifications
"""

from __future__ import annotations

import json
import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import Any, Protocol

from functions.adapters.builds.job import IMAGE_ANNOTATION
from functions.adapters.builds.job_status import finished_at, status_of
from functions.adapters.builds.jobs_api import Refused
from functions.core.errors import UpstreamError
from functions.core.ports import BuildStatus, Publisher

log = logging.getLogger(__name__)

_WATCH_S = 240
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0

Job = Mapping[str, Any]


class Jobs(Protocol):
    """The part of JobsApi that the watcher uses."""

    def jobs(self) -> tuple[list[dict[str, Any]], str]: ...

    def watch(self, version: str, *, timeout_s: int) -> Iterator[dict[str, Any]]: ...


def run(jobs: Jobs, publisher: Publisher) -> None:
    """Watch until SIGTERM or SIGINT."""
    # SystemExit out of the handler ends even a read that waits for the next event.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    watch(jobs, publisher)


def watch(
    jobs: Jobs,
    publisher: Publisher,
    *,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Announce the end of every build, for ever; troubles of Kubernetes and Pub/Sub are waited out."""
    announced = Announced(publisher)
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            for _ in _changes(jobs, announced):
                pause_s = _FIRST_PAUSE_S
        except (UpstreamError, Refused) as error:
            log.warning("watching builds: %s", error)
        sleep(pause_s * (1 + jitter()) / 2)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _changes(jobs: Jobs, announced: Announced) -> Iterator[None]:
    """List, then follow for a while; yields whenever all that was heard is announced.

    That every round begins with a list also mends what a watch can suffer: a version too old (410), a broken
    connection, a message that could not be published.
    """
    listed, version = jobs.jobs()
    log.info("watching builds: %d known", len(listed))
    announced.forget_all_but(listed)
    for job in listed:
        announced.consider(job)
    yield
    for event in jobs.watch(version, timeout_s=_WATCH_S):
        announced.consider(event["object"], deleted=event["type"] == "DELETED")
        yield


class Announced:
    """Publishes the end of each build once, if all goes well, and again if it is not sure that it has."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._uids: set[str] = set()

    def consider(self, job: Job, *, deleted: bool = False) -> None:
        """Announce *job* if it has ended, or was deleted before, and was not announced yet."""
        status = status_of(job)
        uid = job["metadata"]["uid"]
        if deleted and not status.terminal:
            status = BuildStatus.CANCELLED
        if status.terminal and uid not in self._uids:
            data, attributes = message(job, status)
            self._publisher.publish(data, attributes)
            self._uids.add(uid)
            log.info("announced %s: %s", attributes["buildId"], status)
        if deleted:
            self._uids.discard(uid)

    def forget_all_but(self, jobs: list[dict[str, Any]]) -> None:
        """Drop the memory of jobs that are gone."""
        self._uids &= {job["metadata"]["uid"] for job in jobs}


def message(job: Job, status: BuildStatus) -> tuple[bytes, Mapping[str, str]]:
    """Data and attributes of Cloud Build's message about *job*."""
    metadata = job["metadata"]
    image = (metadata.get("annotations") or {}).get(IMAGE_ANNOTATION)
    ended = finished_at(job)
    build = {
        "id": metadata["name"],
        "status": status,
        "images": [image] if image else [],
        "tags": [metadata.get("labels", {}).get("component", "")],
        "createTime": metadata.get("creationTimestamp"),
        "startTime": job.get("status", {}).get("startTime"),
        "finishTime": ended.astimezone(UTC).isoformat().replace("+00:00", "Z") if ended else None,
    }
    known = {key: value for key, value in build.items() if value is not None}
    return json.dumps(known).encode(), {"buildId": metadata["name"], "status": status}
