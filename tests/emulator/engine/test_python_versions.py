from __future__ import annotations

import platform
import time
from pathlib import Path

import pytest

from emulator.engine import interpreter
from emulator.engine.errors import BuildFailed
from emulator.engine.installer import Installer
from emulator.engine.limits import Limits

OURS = platform.python_version()


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    limits = Limits(seconds=60, ends_at=time.monotonic() + 60, disk_bytes=1 << 30)
    return Installer(job=tmp_path, environ={"PATH": "/usr/bin:/bin"}, shared_cache=None, confine=False, limits=limits)


@pytest.mark.parametrize("wanted", ["", "3", OURS, OURS.rpartition(".")[0], ">=3.11", ">=3,<4"])
def test_the_machines_python_is_taken_where_it_will_do(installer: Installer, wanted: str) -> None:
    assert interpreter.find(wanted, installer).version == OURS


@pytest.mark.parametrize("wanted", ["3.2", "3.99", ">=3.99", "==3.11.999"])
def test_a_version_that_is_not_here_is_refused(installer: Installer, wanted: str) -> None:
    with pytest.raises(BuildFailed, match="which this machine does not have"):
        interpreter.find(wanted, installer)


def test_a_program_of_the_repository_is_not_run_as_its_python(installer: Installer, tmp_path: Path) -> None:
    program = tmp_path / "python3.11"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    for wanted in (str(program), "./python3.11", f"={program}"):
        with pytest.raises(BuildFailed, match="is not a version of Python"):
            interpreter.find(wanted, installer)
    assert not (tmp_path / "ran").exists()
