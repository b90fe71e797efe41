"""Starts sample stacks and tells what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.stack.processes import Identity, alive, descendants, end, identify
from emulator.stack.state import Record, StateFolder

PROGRAM = str(Path(__file__).with_name("sample_stack.py"))


def eventually(question: Callable[[], object], *, within_s: float = 30) -> None:
    """Return when *question* is answered with something true."""
    deadline = time.monotonic() + within_s
    while not question():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class SampleStack:
    """One supervisor process over sample parts."""

    def __init__(self, folder: Path, port: int, behaviour: str = "work") -> None:
        self.state = StateFolder(folder)
        self.port = port
        self.output = folder.with_suffix(".out")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, str(folder), str(port), behaviour],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            )
        self._family: set[Identity] = set()

    def ready(self) -> SampleStack:
        eventually(self._is_ready)
        return self

    def _is_ready(self) -> bool:
        record = self.state.record()
        return record is not None and record.ready and record.supervisor.pid == self.process.pid

    @property
    def record(self) -> Record:
        record = self.state.record()
        assert record is not None
        return record

    def part(self, name: str) -> Identity:
        """The part's process, once it runs."""
        eventually(lambda: self._process_of(name))
        process = self._process_of(name)
        assert process is not None
        return process

    def _process_of(self, name: str) -> Identity | None:
        return next(part.process for part in self.record.parts if part.name == name)

    def family(self) -> set[Identity]:
        """The supervisor and everything under it, now or at an earlier look."""
        me = identify(self.process.pid)
        if me:
            self._family |= {me, *descendants(self.process.pid)}
        return self._family

    def left(self) -> list[Identity]:
        return [process for process in self._family if alive(process)]

    def signal(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def said(self) -> str:
        return self.output.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., SampleStack]]:
    stacks: list[SampleStack] = []

    def begin(name: str, port: int, behaviour: str = "work") -> SampleStack:
        stacks.append(SampleStack(tmp_path / name, port, behaviour))
        return stacks[-1]

    yield begin
    for stack in stacks:
        stack.family()
        if stack.process.poll() is None:
            stack.signal(signal.SIGTERM)
        end(stack.left(), grace_s=1)
