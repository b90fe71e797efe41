"""What the cull asks a notebook server itself: another port, beside those of `ports.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelUse:
    """How many kernels of a server compute, and how many connections (of pages, say) all of its kernels have."""

    busy: int
    connections: int


class Kernels(Protocol):
    """The kernels of users' servers."""

    def use(self, server_url: str, token: str) -> KernelUse | None:
        """What the server says, which its user may have taught it to say; None when it says nothing of the kind."""
        ...
