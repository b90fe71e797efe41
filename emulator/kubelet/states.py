"""What the kubelet knows of a container and its pod, as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_NOT_BEGUN = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True, slots=True)
class Waiting:
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    exit_code: int
    reason: str
    finished_at: datetime
    started_at: datetime | None = None
    message: str = ""
    container_id: str = ""

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0


State = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """One container of a pod: its state now, how the run before it ended, and how often it was started again."""

    name: str
    image: str
    state: State
    last: Terminated | None = None
    passes_probe: bool = True
    started: bool = True
    restarts: int = 0
    container_id: str = ""
    image_id: str = ""

    @property
    def running(self) -> bool:
        return isinstance(self.state, Running)


def is_begun(containers: Iterable[ContainerRecord]) -> bool:
    """Tell whether more is known of any of these containers than that it shall be created."""
    return any(not isinstance(each.state, Waiting) or each.state.reason not in _NOT_BEGUN for each in containers)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRecord:
    """A pod as the kubelet sees it. *failure* is a reason and a message when the kubelet itself ended the pod."""

    init: tuple[ContainerRecord, ...]
    containers: tuple[ContainerRecord, ...]
    host_ip: str
    started_at: datetime
    pod_ip: str = ""
    failure: tuple[str, str] | None = None
    ending: bool = False
