"""What was done to a stack, and when, so that what became of launches can be compared with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from threading import Lock

from tests.chaos.faults import MESSAGES, OF_TCP, TCP, Kind, services, victims


@dataclass(frozen=True, slots=True)
class Entry:
    """*what* happened to *whom* at *at* (seconds since the epoch): ("kill", "hub"), ("reset", "kube")."""

    at: float
    what: str
    whom: str


@dataclass(slots=True)
class Journal:
    """Written by many threads."""

    entries: list[Entry] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def note(self, what: str, whom: str) -> None:
        with self._lock:
            self.entries.append(Entry(time.time(), what, whom))

    def killed(self, victims: Collection[str], *, since: float, until: float) -> int:
        """How often one of *victims* was killed in that time."""
        return sum(it.what == "kill" and it.whom in victims and since <= it.at <= until for it in self.entries)

    def never(self, backend: str = "kubernetes") -> Sequence[str]:
        """What nobody has met: every kill and every fault that can be drawn where *backend* builds."""
        met = {(it.whom, it.what) for it in self.entries}
        drawn = [
            *((victim, "kill") for victim in victims(backend)),
            *((service, kind) for service in services(backend) for kind in (OF_TCP if service in TCP else Kind)),
            *(("messages", kind) for message in MESSAGES for kind in message),
        ]
        return [f"{whom} {what}" for whom, what in drawn if (whom, what) not in met]

    def kills(self) -> Counter[str]:
        return Counter(it.whom for it in self.entries if it.what == "kill")

    def faults(self) -> Counter[tuple[str, str]]:
        """How often which kind of fault hit which service."""
        return Counter((it.whom, it.what) for it in self.entries if it.what not in ("kill", "missed"))
