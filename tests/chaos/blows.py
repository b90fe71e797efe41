"""Kills parts of a running stack, and instances of its functions, when it is time."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Sequence

from emulator.stack.processes import alive
from emulator.stack.state import StateFolder
from tests.chaos.faults import INSTANCE, Blow
from tests.chaos.journal import Journal
from tests.chaos.people import answered
from tests.e2e.stack import Stack

# How long a blow waits for a victim that is just being started again.
PATIENCE_S = 8.0
ROUND_EVERY_S = 4.0


class Scheduler(threading.Thread):
    """Calls the cull more often than the stack's own scheduler does, so that its rounds meet trouble too."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self._stack = stack

    def run(self) -> None:
        while not self.over.wait(ROUND_EVERY_S):
            answered(self._stack.cull)


class Injector(threading.Thread):
    """Strikes *blows* until they are over, or `over` is set."""

    def __init__(self, stack: Stack, blows: Sequence[Blow], journal: Journal, *, seed: int) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self._stack, self._blows, self._journal = stack, blows, journal
        self._dice = random.Random(f"{seed}/instances")

    def run(self) -> None:
        began = time.monotonic()
        for blow in self._blows:
            if self.over.wait(max(0.0, began + blow.at_s - time.monotonic())):
                return
            until = time.monotonic() + PATIENCE_S
            while not self._strike(blow) and time.monotonic() < until and not self.over.wait(0.1):
                pass

    def _strike(self, blow: Blow) -> bool:
        """Whether there was somebody to be struck."""
        if blow.message is not None:
            return self._tell_pubsub(blow)
        return self._kill_instance() if blow.victim == INSTANCE else self._kill_part(blow.victim)

    def _kill_part(self, name: str) -> bool:
        record = StateFolder(self._stack.state).record()
        for part in record.parts if record else ():
            if part.name == name and part.condition == "ready" and part.process and alive(part.process):
                self._journal.note("kill", name)
                os.kill(part.process.pid, signal.SIGKILL)
                return True
        return False

    def _kill_instance(self) -> bool:
        try:
            instances = self._stack.run_admin("GET", "/instances")["instances"]
            busy = [each for each in instances if each["in_flight"]]
            if not busy:
                return False
            chosen = self._dice.choice(busy)
            self._journal.note("kill", INSTANCE)
            self._stack.kill_instance(chosen["pid"])
        except Exception:
            # The runtime, or the instance, was faster in ending.
            return False
        return True

    def _tell_pubsub(self, blow: Blow) -> bool:
        assert blow.message is not None
        try:
            self._stack.cloud_admin("PUT", "/admin/pubsub/faults", blow.message)
        except Exception:
            return False
        self._journal.note(next(iter(blow.message)), "messages")
        return True
