from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emulator.engine.confinement import available, confined
from emulator.engine.installer import Installer
from emulator.engine.limits import Limits

TAKE = """
import os
from emulator.engine.secrets import take
import subprocess
taken = take("SECRET", os.environ)
seen = open("/proc/self/environ", "rb").read() if os.geteuid() == 0 else b""
inherited = subprocess.run(["env"], capture_output=True).stdout
print(taken == "hunter2", b"hunter2" in seen, b"hunter2" in inherited, take("SECRET", os.environ) == "")
"""


def test_a_secret_that_was_taken_is_nowhere_in_the_environment() -> None:
    environ = {"SECRET": "hunter2", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", TAKE], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False", "True"]


def installer(job: Path, *, confine: bool) -> Installer:
    environ = {"PATH": os.environ["PATH"], "SECRET": "hunter2", "HTTPS_PROXY": "http://proxy", "UV_INDEX_URL": "u"}
    limits = Limits(seconds=60, ends_at=time.monotonic() + 60, disk_bytes=1 << 30)
    return Installer(job=job, environ=environ, shared_cache=job / "shared", confine=confine, limits=limits)


def test_a_build_script_sees_no_variable_but_how_to_reach_the_index(tmp_path: Path) -> None:
    output = "".join(installer(tmp_path, confine=False).untrusted("env"))
    assert "hunter2" not in output
    assert "HTTPS_PROXY=http://proxy" in output and "UV_INDEX_URL=u" in output


def test_packages_of_a_strangers_choice_do_not_pass_through_the_shared_cache(tmp_path: Path) -> None:
    shared, own = f"UV_CACHE_DIR={tmp_path / 'shared'}\n", f"UV_CACHE_DIR={tmp_path / 'cache'}\n"
    for confine in (True, False):
        ran = installer(tmp_path, confine=confine)
        assert (shared if confine else own) in list(ran.trusted("env"))
    assert own in list(installer(tmp_path, confine=False).untrusted("env"))


@pytest.mark.skipif(not available(), reason="needs bubblewrap")
def test_a_confined_build_script_can_neither_write_elsewhere_nor_see_us(tmp_path: Path) -> None:
    job, other = tmp_path / "job", tmp_path / "other"
    job.mkdir()
    other.mkdir()
    script = f"touch {job}/mine {other}/yours; ls /proc; cat /proc/{os.getpid()}/comm"
    done = subprocess.run(confined(["sh", "-c", script], writable=[job]), capture_output=True, text=True, check=False)
    assert os.listdir(job) == ["mine"] and os.listdir(other) == []
    assert "Read-only file system" in done.stderr and f"/proc/{os.getpid()}/comm" in done.stderr


@pytest.mark.skipif(not available(), reason="needs bubblewrap")
def test_a_repositorys_script_runs_in_a_home_of_its_own_and_finds_no_secret(tmp_path: Path) -> None:
    confining = installer(tmp_path, confine=True)
    confining.home.mkdir()
    output = "".join(confining.at_home("sh", "-c", "pwd; env; touch ~/made"))
    assert output.startswith("/home/jovyan\n") and "HOME=/home/jovyan\n" in output
    assert "hunter2" not in output
    assert [path.name for path in confining.home.iterdir()] == ["made"]


def test_a_program_of_the_repository_is_not_taken_for_bubblewrap(tmp_path: Path) -> None:
    ran = installer(tmp_path, confine=available())
    fake = ran.home / ".local" / "bin" / "bwrap"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\necho fooled\n")
    fake.chmod(0o755)
    assert "".join(ran.at_home("echo", "as asked")) == "as asked\n"
