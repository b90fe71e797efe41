"""What the cull asks of the cluster in which users' servers run: another port, beside those of `ports.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPod:
    """The pod of a user's server. `server_name` is empty for the default server, `uid` tells it from a later pod of the
    same name, `ending` that it is being deleted."""

    name: str
    uid: str
    user: str
    server_name: str = ""
    created_at: datetime | None = None
    ending: bool = False


class Pods(Protocol):
    """The pods of users' servers, of one Hub."""

    def list(self, after: str = "") -> tuple[Sequence[UserPod], str]:
        """Some of the pods, and what to go on *after*; empty when there are no more. Raises UpstreamError."""
        ...

    def delete(self, pod: UserPod) -> None:
        """Delete that very pod; one that is gone, or another of its name, is left alone."""
        ...
