"""Loopback addresses of pods: one each, remembered, and never one that another kubelet of this machine uses.

All of 127.0.0.0/8 is this machine, so that every pod can listen on the same port.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import zlib
from pathlib import Path

# Holding this port of an address tells other kubelets that the address is taken.
CLAIM_PORT = 10255


class NoAddress(Exception):
    """Every address of the pod network is taken."""


class Addresses:
    """The addresses of one kubelet's pods, in a file beside them."""

    def __init__(self, network: ipaddress.IPv4Network, memory: Path) -> None:
        self._network = network
        self._memory = memory
        self._claims: dict[str, socket.socket] = {}
        self._known: dict[str, str] = _load(memory)
        # Kubelets with the same network begin at different places, and a freed address rests before it is used again.
        self._next = zlib.crc32(str(memory).encode()) % max(1, network.num_addresses - 2)

    def known(self) -> frozenset[str]:
        """The uids that have an address."""
        return frozenset(self._known)

    def of(self, uid: str, *, held: bool = False) -> str:
        """The address of the pod *uid*, now and until it is released. Raises NoAddress.

        *held* tells that a container of it runs, and holds the address for it."""
        address = self._known.get(uid)
        if address and (uid in self._claims or self._claim(uid, address) or held):
            return address
        taken = set(self._known.values())
        for _ in range(self._network.num_addresses):
            address = str(self._network[1 + self._next])
            self._next = (self._next + 1) % max(1, self._network.num_addresses - 2)
            if address not in taken and self._claim(uid, address):
                self._known[uid] = address
                self._save()
                return address
        raise NoAddress(f"no address of {self._network} is free")

    def claim(self, uid: str) -> int | None:
        """The socket that holds the address, for a process that is to hold it as well; None when another does."""
        address = self._known.get(uid)
        if address and uid not in self._claims:
            self._claim(uid, address)
        return self._claims[uid].fileno() if uid in self._claims else None

    def release(self, uid: str) -> None:
        """Let the address be used again."""
        if claim := self._claims.pop(uid, None):
            claim.close()
        if self._known.pop(uid, None):
            self._save()

    def close(self) -> None:
        for claim in self._claims.values():
            claim.close()
        self._claims.clear()

    def _claim(self, uid: str, address: str) -> bool:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((address, CLAIM_PORT))
        except OSError:
            claim.close()
            return False
        self._claims[uid] = claim
        return True

    def _save(self) -> None:
        partial = self._memory.with_suffix(".partial")
        partial.write_text(json.dumps(self._known))
        partial.replace(self._memory)


def _load(memory: Path) -> dict[str, str]:
    try:
        return {str(uid): str(ipaddress.IPv4Address(text)) for uid, text in json.loads(memory.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}
