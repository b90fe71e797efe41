"""Servers that say of their kernels what a test says."""

from __future__ import annotations

from functions.core.kernels import KernelUse

IDLE = KernelUse(busy=0, connections=0)


class FakeKernels:
    """`of` has what the server of an address answers, IDLE where it says nothing; `asked` who was asked, how."""

    def __init__(self) -> None:
        self.of: dict[str, KernelUse | None] = {}
        self.asked: list[tuple[str, str]] = []

    def use(self, server_url: str, token: str) -> KernelUse | None:
        self.asked.append((server_url, token))
        return self.of.get(server_url, IDLE)
