"""What is believed of a record that was found, and what is not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.kubelet.descent import start_time
from emulator.kubelet.runs import Record, Runs, named_process

BEGUN: dict[str, Any] = {
    "number": 2,
    "container_id": "process://1",
    "image_id": "i@sha256:0",
    "environment": {"A": "b"},
    "working_dir": "/",
}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "runs" / "uid" / "main")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as made:
        yield made
        made.kill()


def add(record: Record, **facts: object) -> None:
    with record.path.open("a") as file:
        file.write(json.dumps(facts) + "\n")


def test_a_run_is_alive_as_long_as_its_record_is_locked_by_the_process_it_names(
    record: Record, process: subprocess.Popen[bytes]
) -> None:
    held = record.begin(BEGUN)
    assert (begun := record.read()) and begun.alive and not begun.told
    add(record, shim=[process.pid, start_time(process.pid)])
    add(record, main=[process.pid, start_time(process.pid)], started_at=1.5)
    assert (run := record.read()) and run.alive and run.told and run.shim
    fd = run.shim.opened()
    assert fd is not None
    os.close(fd)
    os.close(held)
    assert (left := record.read()) and not left.alive and left.exit_code is None


def test_a_number_that_was_used_again_is_no_process_of_ours(record: Record, process: subprocess.Popen[bytes]) -> None:
    started = start_time(process.pid)
    assert started is not None
    held = record.begin(BEGUN)
    add(record, shim=[process.pid, started - 1], started_at=1)
    assert (run := record.read()) and not run.alive
    assert run.shim is not None and run.shim.opened() is None
    os.close(held)


def test_what_a_command_exits_with_that_was_made_to_end_says_nothing(record: Record) -> None:
    os.close(record.begin(BEGUN))
    add(record, shim=[os.getpid(), 1], started_at=1)
    record.abandon()
    add(record, exit_code=0, finished_at=2)
    assert (run := record.read()) and run.exit_code is None


def test_only_whole_lines_are_read(record: Record) -> None:
    os.close(record.begin(BEGUN))
    with record.path.open("a") as file:
        file.write('{"exit_code": 0')
    assert (run := record.read()) and run.exit_code is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no json\n",
        "[]\n",
        json.dumps({"number": 0}) + "\n",
        json.dumps(BEGUN | {"number": "x"}) + "\n",
        json.dumps(BEGUN | {"environment": ["A"]}) + "\n",
        json.dumps(BEGUN | {"shim": [1, 0]}) + "\n",
        json.dumps(BEGUN | {"shim": [-1, 0]}) + "\n",
        json.dumps(BEGUN | {"shim": 7}) + "\n",
        json.dumps(BEGUN | {"started_at": 1e300}) + "\n",
    ],
)
def test_a_record_that_makes_no_sense_is_none(record: Record, content: str) -> None:
    record.path.parent.mkdir(parents=True)
    record.path.write_text(content)
    assert record.read() is None


def test_a_record_that_is_no_file_of_ours_is_none(record: Record, tmp_path: Path) -> None:
    os.close(record.begin(BEGUN))
    record.path.rename(tmp_path / "elsewhere")
    record.path.symlink_to(tmp_path / "elsewhere")
    assert record.read() is None
    record.path.unlink()
    os.mkfifo(record.path)
    assert record.read() is None
    record.path.unlink()
    record.path.mkdir()
    assert record.read() is None
    record.path.rmdir()
    if os.geteuid() == 0:
        (tmp_path / "elsewhere").replace(record.path)
        assert record.read() is not None
        os.chown(record.path, 65530, 65530)
        assert record.read() is None


def test_a_new_run_begins_with_an_empty_record(record: Record) -> None:
    os.close(record.begin(BEGUN))
    add(record, exit_code=3)
    os.close(record.begin(BEGUN | {"number": 3}))
    assert (run := record.read()) and (run.number, run.exit_code) == (3, None)


def test_the_control_groups_of_known_runs_are_known(record: Record, tmp_path: Path) -> None:
    os.close(record.begin(BEGUN))
    runs = Runs(tmp_path / "runs")
    assert runs.cgroup_names() == {"uid-main-2"}
    runs.forget("uid")
    assert not runs.known()


def test_a_process_to_end_with_must_run(process: subprocess.Popen[bytes]) -> None:
    assert named_process(process.pid).pid == process.pid
    process.kill()
    process.wait()
    with pytest.raises(ProcessLookupError, match="no process"):
        named_process(process.pid)
