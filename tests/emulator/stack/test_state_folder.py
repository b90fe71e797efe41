"""The state folder: its lock, its records, its logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.stack.parts import Part, Step, check
from emulator.stack.processes import Identity
from emulator.stack.state import LOG_LIMIT_BYTES, PartRecord, Record, StateFolder

RECORD = Record(
    supervisor=Identity(17, 4),
    since="today",
    url="http://127.0.0.1:1",
    parts=(PartRecord(name="kube", process=Identity(18, 5)), PartRecord(name="hub")),
)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def test_a_record_is_read_as_it_was_written(state: StateFolder) -> None:
    state.write_record(RECORD)
    assert state.record() == RECORD


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"parts": [1]}', '{"parts": 3}'])
def test_a_damaged_record_is_none(state: StateFolder, content: str) -> None:
    state.write("stack.json", content)
    assert state.record() is None


def test_one_supervisor_at_a_time_holds_the_folder(state: StateFolder) -> None:
    with state.lock() as first, state.lock() as second:
        assert (first, second) == (True, False)
        assert state.running()
    assert not state.running()


def test_looking_at_a_folder_that_is_not_there_does_not_make_it(state: StateFolder) -> None:
    assert not state.running()
    assert state.record() is None
    assert not state.path.exists()


def test_long_logs_are_put_aside_at_the_start(state: StateFolder) -> None:
    state.write("logs/kube.log", "x" * (LOG_LIMIT_BYTES + 1))
    state.write("logs/hub.log", "short")
    state.rotate_logs(["kube", "hub", "run"])
    assert sorted(file.name for file in (state.path / "logs").iterdir()) == ["hub.log", "kube.log.1"]


async def nothing() -> None:
    pass


@pytest.mark.parametrize(
    "members",
    [
        [Part(name="a", command=("x",), needs=frozenset({"b"}))],
        [
            Part(name="a", command=("x",), needs=frozenset({"b"})),
            Step(name="b", run=nothing, needs=frozenset({"a"})),
        ],
        [Part(name="a", command=("x",)), Step(name="a", run=nothing)],
    ],
    ids=["unknown need", "circle", "name twice"],
)
def test_a_stack_that_could_never_start_is_refused(members: list[Part | Step]) -> None:
    with pytest.raises(ValueError):
        check(members)
