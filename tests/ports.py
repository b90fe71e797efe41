"""Ports for the services that tests start."""

from __future__ import annotations

import random

from emulator.stack.ports import any_free

DICE = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 that no outgoing connection of another test takes before the service listens."""
    return any_free(DICE)
