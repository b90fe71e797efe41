from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.engine.children import run
from emulator.engine.errors import BuildFailed
from emulator.engine.limits import Limits, limits_from


def ran(folder: Path, script: str, *, seconds: float = 30, disk_bytes: int = 1 << 30) -> Iterator[str]:
    limits = Limits(seconds=seconds, ends_at=time.monotonic() + seconds, disk_bytes=disk_bytes)
    environ = {"PATH": os.environ["PATH"]}
    return run(["sh", "-c", script], folder=folder, environ=environ, limits=limits, measured=folder)


def is_there(pid: str) -> bool:
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def goes(pid: str) -> bool:
    deadline = time.monotonic() + 5
    while is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_there(pid)


@pytest.mark.parametrize(
    ("script", "limits", "reason"),
    [
        ("sleep 60", {"seconds": 0.1}, "longer than 0.1 seconds"),
        ("head -c 300000 /dev/zero > big", {"disk_bytes": 200_000}, "GiB (BINDERLESS_BUILD_DISK_GIB)"),
        ("head -c 300000 /dev/zero > big; sleep 60", {"disk_bytes": 200_000}, "GiB (BINDERLESS_BUILD_DISK_GIB)"),
        ("kill -9 $$", {}, "more memory than it may use"),
        ("echo 'error: Call to build_wheel failed (signal: 9 (SIGKILL))'; exit 2", {}, "more memory than it may use"),
        ("echo 'error: this'; exit 2", {}, "this"),
        ("exit 3", {}, "exit code 3"),
    ],
    ids=["time", "disk at the end", "disk meanwhile", "memory", "memory of a child", "its own words", "silent"],
)
def test_a_build_that_exceeds_a_limit_or_fails_says_which(
    tmp_path: Path, script: str, limits: dict[str, float], reason: str
) -> None:
    with pytest.raises(BuildFailed) as caught:
        list(ran(tmp_path, script, **limits))  # type: ignore[arg-type]
    assert reason in str(caught.value)


def test_what_a_command_leaves_behind_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    [pid] = ran(tmp_path, "sleep 60 & echo $!")
    assert goes(pid)


def test_closing_the_log_ends_the_command(tmp_path: Path) -> None:
    log = ran(tmp_path, "echo $$; sleep 60")
    pid = next(log)
    assert is_there(pid)
    log.close()  # type: ignore[attr-defined]
    assert goes(pid)


def test_limits_are_read_from_the_environment() -> None:
    limits = limits_from({"BINDERLESS_BUILD_SECONDS": "5", "BINDERLESS_BUILD_DISK_GIB": "0.5"}, now=100)
    assert (limits.ends_at, limits.disk_bytes) == (105, 1 << 29)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BuildFailed, match="BINDERLESS_BUILD_SECONDS must be a positive number"):
        limits_from({"BINDERLESS_BUILD_SECONDS": text}, now=0)
