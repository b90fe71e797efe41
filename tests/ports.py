"""Ports of the services that tests start."""

from __future__ import annotations

import random
import socket

from emulator.stack.ports import any_free

DICE = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 that no outgoing connection of another test takes before the service listens."""
    return any_free(DICE)


def listens(address: str, port: int) -> bool:
    """Whether somebody is there to connect to."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0
