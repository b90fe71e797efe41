"""Looks at a stack from outside, all the time: its records, builds, pods and processes, as they were at each moment."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from emulator.stack.processes import Identity, alive, descendants
from emulator.stack.state import StateFolder
from functions.adapters.stores.sqlite import SQLiteStore
from functions.core.launch import Launch
from functions.state import records
from tests.chaos.people import answered
from tests.e2e.stack import Stack

EVERY_S = 0.5
# After how long at most one of two builds of one image is cancelled: the services do not answer, or lie, meanwhile.
SOON = timedelta(seconds=30)
IMAGE = "binderless.image"
USER = "hub.jupyter.org/username"

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SeenBuild:
    """A build as its backend tells of it; `ended_at` is None while it goes on.

    `withdrawn` says that it was cancelled soon. Cloud Build knows no request id, so a create that a network delivers
    twice is two builds; what is promised is that one of them is cancelled as soon as both are seen.
    """

    image: str
    begun_at: datetime
    ended_at: datetime | None
    succeeded: bool
    withdrawn: bool = False


@dataclass(slots=True)
class Seen:
    """Everything that was ever seen, by key, as it was last; and which records were open at the last look.

    `twins` are images that were built twice, and users who had two servers, at one moment.
    """

    launches: dict[str, Launch] = field(default_factory=dict)
    builds: dict[str, SeenBuild] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    processes: set[Identity] = field(default_factory=set)
    twins: Counter[str] = field(default_factory=Counter)
    open_records: Sequence[str] = ()


class Watcher(threading.Thread):
    """Looks until `over`; what was there is in `seen`."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.seen = Seen()
        self._stack = stack
        self._store = SQLiteStore(stack.state / "functions" / "store.sqlite")

    def run(self) -> None:
        while not self.over.wait(EVERY_S):
            self.look()
        self._store.close()

    def look(self) -> None:
        """Once; what does not answer just now was seen before, or will be."""
        for sight in (self._records, self._builds, self._servers, self._family):
            answered(sight)

    def _records(self) -> None:
        known = records.launches(self._store)
        found = [*known.where("open", "yes"), *known.where("open", "no")]
        self.seen.launches |= {launch.id: launch for launch in found}
        self.seen.open_records = [
            *(f"launch {it.id} of {it.spec}: {it.phase}" for it in found if it.open),
            *(f"build of {it.image}: {it.status}" for it in records.builds(self._store).where("open", "yes")),
        ]

    def _builds(self) -> None:
        found = builds(self._stack)
        self.seen.builds |= found
        if self._stack.backend == "kubernetes":
            self._note_twins(Counter(build.image for build in found.values() if not build.ended_at))
        pods = [pod for pod in build_pods(self._stack) if pod["status"].get("phase") == "Running" and image_of(pod)]
        self._note_twins(Counter(map(image_of, pods)))

    def _servers(self) -> None:
        pods = self._stack.pods()
        self.seen.pods |= {pod["metadata"]["uid"]: pod for pod in pods}
        self._note_twins(Counter(user_of(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]))

    def _note_twins(self, seen: Counter[str]) -> None:
        for name, times in seen.items():
            if times > 1:
                self.seen.twins[name] += 1

    def _family(self) -> None:
        record = StateFolder(self._stack.state).record()
        if record and alive(record.supervisor):
            self.seen.processes |= {record.supervisor, *descendants(record.supervisor.pid)}


def image_of(thing: Object) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(IMAGE, ""))


def user_of(pod: Object) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(USER, ""))


def runs(pod: Object) -> bool:
    """Whether it may have processes, now or soon."""
    return pod["status"].get("phase") in ("Pending", "Running")


def builds(stack: Stack) -> Mapping[str, SeenBuild]:
    """All builds that the stack's build backend knows, by what it calls them."""
    if stack.backend == "cloud_build":
        return {build["id"]: of_cloud_build(build) for build in stack.cloud_builds()}
    jobs = stack.kubernetes("/apis/batch/v1/namespaces/binderless-builds/jobs")
    return {job["metadata"]["uid"]: of_job(job) for job in jobs}


def build_pods(stack: Stack) -> Sequence[Object]:
    """The pods in which something is built."""
    return stack.kubernetes("/api/v1/namespaces/binderless-builds/pods")


def of_job(job: Object) -> SeenBuild:
    """A build that is a Job of Kubernetes."""
    ends = [
        condition["lastTransitionTime"]
        for condition in job["status"].get("conditions") or ()
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True"
    ]
    return SeenBuild(
        image=image_of(job),
        begun_at=datetime.fromisoformat(job["metadata"]["creationTimestamp"]),
        ended_at=datetime.fromisoformat(ends[0]) if ends else None,
        succeeded=bool(job["status"].get("succeeded")),
    )


def of_cloud_build(build: Object) -> SeenBuild:
    """A build of Cloud Build's REST API."""
    begun_at, ended = datetime.fromisoformat(build["createTime"]), build.get("finishTime")
    ended_at = datetime.fromisoformat(ended) if ended else None
    return SeenBuild(
        image=build["images"][0],
        begun_at=begun_at,
        ended_at=ended_at,
        succeeded=build["status"] == "SUCCESS",
        withdrawn=build["status"] == "CANCELLED" and ended_at is not None and ended_at - begun_at < SOON,
    )


def under(name: str, state: Path) -> Sequence[Identity]:
    """The processes that a part has started."""
    record = StateFolder(state).record()
    for part in record.parts if record else ():
        if part.name == name and part.process:
            return [each for each in descendants(part.process.pid) if each.pid != os.getpid()]
    return []
