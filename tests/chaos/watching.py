"""Looks at a stack from outside, all the time: its records, jobs, pods and processes, as they were at each moment."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
IMAGE = "binderless.image"
USER = "hub.jupyter.org/username"

Object = Mapping[str, Any]


@dataclass(slots=True)
class Seen:
    """Everything that was ever seen, by key, as it was last; and which records were open at the last look.

    `twins` are images that were built twice, and users who had two servers, at one moment.
    """

    launches: dict[str, Launch] = field(default_factory=dict)
    jobs: dict[str, Object] = field(default_factory=dict)
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
        for sight in (self._records, self._jobs, self._servers, self._family):
            answered(sight)

    def _records(self) -> None:
        known = records.launches(self._store)
        found = [*known.where("open", "yes"), *known.where("open", "no")]
        self.seen.launches |= {launch.id: launch for launch in found}
        self.seen.open_records = [
            *(f"launch {it.id} of {it.spec}: {it.phase}" for it in found if it.open),
            *(f"build of {it.image}: {it.status}" for it in records.builds(self._store).where("open", "yes")),
        ]

    def _jobs(self) -> None:
        jobs = self._stack.kubernetes("/apis/batch/v1/namespaces/binderless-builds/jobs")
        pods = self._stack.kubernetes("/api/v1/namespaces/binderless-builds/pods")
        self.seen.jobs |= {job["metadata"]["uid"]: job for job in jobs}
        self._note_twins(Counter(image_of(job) for job in jobs if not ended_at(job)))
        self._note_twins(Counter(image_of(pod) for pod in pods if pod["status"].get("phase") == "Running"))

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


def succeeded(job: Object) -> bool:
    return bool(job["status"].get("succeeded"))


def begun_at(job: Object) -> datetime:
    return datetime.fromisoformat(job["metadata"]["creationTimestamp"])


def ended_at(job: Object) -> datetime | None:
    """When the job ended; None while it goes on."""
    for condition in job["status"].get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return datetime.fromisoformat(condition["lastTransitionTime"])
    return None


def under(name: str, state: Path) -> Sequence[Identity]:
    """The processes that a part has started."""
    record = StateFolder(state).record()
    for part in record.parts if record else ():
        if part.name == name and part.process:
            return [each for each in descendants(part.process.pid) if each.pid != os.getpid()]
    return []
