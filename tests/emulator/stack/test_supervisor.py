"""The supervisor over sample parts, as processes: what is up, what is left."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.stack.processes import alive
from tests.emulator.stack.conftest import SampleStack, eventually
from tests.ports import free_port

Start = Callable[..., SampleStack]


@pytest.fixture
def port() -> int:
    return free_port()


def test_ready_is_said_when_every_part_and_step_is(start: Start, port: int) -> None:
    stack = start("a", port).ready()
    eventually(lambda: f"Binderless is ready at http://127.0.0.1:{port}" in stack.said())
    assert (stack.state.path / "step-done").read_text() == "yes"
    assert {part.condition for part in stack.record.parts} == {"ready"}


def test_a_part_starts_beside_the_ones_it_uses_and_ends_before_them(start: Start, port: int) -> None:
    stack = start("a", port, "pair").ready()
    stack.signal(signal.SIGTERM)
    assert [line.split()[0] for line in stack.said().splitlines() if line.startswith("  ")] == ["eager", "slow"]
    assert (stack.state.path / "ended").read_text().split() == ["eager", "slow"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process(start: Start, port: int, number: signal.Signals) -> None:
    stack = start("a", port).ready()
    assert len(stack.family()) == 4
    assert stack.signal(number) == 0
    assert stack.left() == []
    assert not stack.state.running()


def test_a_signal_during_the_start_ends_every_process(start: Start, port: int) -> None:
    stack = start("a", port, "fail")
    eventually(lambda: stack.state.record_file.exists() and stack.part("server"))
    stack.family()
    stack.signal(signal.SIGTERM)
    assert stack.left() == []


def test_a_killed_supervisor_takes_its_parts_along(start: Start, port: int) -> None:
    stack = start("a", port).ready()
    parts = [stack.part("server"), stack.part("worker")]
    stack.family()
    stack.signal(signal.SIGKILL)
    eventually(lambda: not any(alive(part) for part in parts))


def test_the_next_start_ends_what_a_killed_supervisor_left(start: Start, port: int) -> None:
    first = start("a", port, "stubborn").ready()
    worker = first.part("worker")
    first.family()
    first.signal(signal.SIGKILL)
    assert alive(worker)
    second = start("a", port).ready()
    assert not alive(worker)
    assert first.left() == []
    assert "earlier stack had left" in second.said()


def test_a_crashed_part_is_started_again_and_shown(start: Start, port: int) -> None:
    stack = start("a", port).ready()
    worker = stack.part("worker")
    stack.family()
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: "worker is back" in stack.said())
    assert stack.part("worker") != worker
    assert "worker was ended by SIGKILL" in stack.said()
    stack.family()
    stack.signal(signal.SIGTERM)
    assert stack.left() == []


def test_a_part_that_does_not_start_is_named_with_its_last_words(start: Start, port: int) -> None:
    stack = start("a", port, "fail")
    assert stack.process.wait(timeout=30) == 1
    assert "worker does not start" in stack.said()
    assert "the disk is made of cheese" in stack.said()
    assert str(stack.state.log_file("worker")) in stack.said()
    assert not stack.state.running()


def test_a_second_start_says_who_runs_the_first(start: Start, port: int) -> None:
    first = start("a", port).ready()
    second = start("a", port)
    assert second.process.wait(timeout=30) == 1
    said = second.said()
    assert f"process {first.process.pid}" in said
    assert first.record.since in said
    assert f"http://127.0.0.1:{port}" in said


def test_a_taken_port_is_named_with_its_setting(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack = start("a", port)
        assert stack.process.wait(timeout=30) == 1
    assert f"Port {port}" in stack.said()
    assert "BINDERLESS_PORT" in stack.said()


def test_two_stacks_live_side_by_side(start: Start, port: int, tmp_path: Path) -> None:
    first, second = start("a", port).ready(), start("b", free_port()).ready()
    assert first.signal(signal.SIGTERM) == 0
    assert alive(second.part("worker"))
