"""Control groups of either version: whichever this machine has, and folders that look like the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.kubelet.cgroups import Cgroup, Cgroups, Limits, find_cgroups
from tests.emulator.kubelet.cluster import eventually

MIB = 1 << 20
FILL = "b = bytearray(256 << 20)"
ROOT = Path(__file__).parents[3]
FIND = """
import sys
from pathlib import Path
from emulator.kubelet.cgroups import find_cgroups
assert find_cgroups("ours", root=Path(sys.argv[1]), own=Path(sys.argv[2])) is not None
"""


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    found = find_cgroups(f"binderless-test-{os.getpid()}")
    if found is None:
        pytest.skip("needs a control group that we may write to")
    yield found
    found.close()


def started(cgroup: Cgroup, code: str) -> subprocess.Popen[bytes]:
    """A Python in the group that runs *code*."""
    join = "import sys; [open(file, 'w').write('0') for file in sys.argv[1:]]"
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", f"{join}; {code}", *cgroup.process_files])


def test_who_takes_more_memory_than_the_limit_is_killed_and_counted(cgroups: Cgroups) -> None:
    cgroup = cgroups.create("small", Limits(memory_bytes=64 * MIB))
    assert cgroup is not None and cgroup.oom_kills() == 0
    assert started(cgroup, FILL).wait() == -9
    assert cgroup.oom_kills() == 1


def test_without_a_limit_nobody_is_killed(cgroups: Cgroups) -> None:
    cgroup = cgroups.create("free", Limits())
    assert cgroup is not None
    assert started(cgroup, FILL).wait() == 0
    assert cgroup.oom_kills() == 0


def test_who_takes_more_cpu_than_the_limit_has_to_wait(cgroups: Cgroups) -> None:
    cgroup = cgroups.create("slow", Limits(cpus=0.1))
    assert cgroup is not None
    process = started(cgroup, "\nwhile True: pass")
    statistics = [folder / "cpu.stat" for folder in cgroup.folders]

    def waited() -> bool:
        lines = [line for file in statistics if file.exists() for line in file.read_text().splitlines()]
        return any(line.startswith("nr_throttled ") and not line.endswith(" 0") for line in lines)

    eventually(waited)
    process.kill()
    process.wait()


def test_what_is_left_in_a_group_ends_with_it(cgroups: Cgroups) -> None:
    cgroup = cgroups.create("left", Limits(memory_bytes=64 * MIB))
    assert cgroup is not None
    process = started(cgroup, "print('in', flush=True); import time; time.sleep(600)")
    eventually(lambda: str(process.pid) in Path(cgroup.process_files[0]).read_text().split())
    cgroups.remove_all()
    assert process.wait() == -9
    cgroup.remove()
    assert not [folder for folder in cgroup.folders if folder.exists()]


def machine(root: Path, own: str, *groups: str, controllers: str = "cpuset cpu io memory pids") -> Path:
    """Folders that look like groups of version 2, and the file that says which one is ours."""
    for group in ("", *groups):
        (root / group).mkdir(parents=True, exist_ok=True)
        (root / group / "cgroup.controllers").write_text(controllers)
        (root / group / "cgroup.procs").touch()
    (root / "own").write_text(f"0::{own}\n")
    return root / "own"


def test_the_controllers_are_handed_down_to_our_groups(tmp_path: Path) -> None:
    own = machine(tmp_path, "/user/me", "user", "user/me")
    assert find_cgroups("ours", root=tmp_path, own=own) is not None
    for group in (tmp_path, tmp_path / "ours"):
        assert (group / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_a_user_has_groups_in_the_outermost_one_that_is_delegated(tmp_path: Path) -> None:
    own = machine(tmp_path, "/user/me/terminal", "user", "user/me", "user/me/terminal", controllers="memory")
    for shut in (tmp_path, tmp_path / "user"):
        (shut / "cgroup.procs").chmod(0o444)
    # Root may write everywhere, and without this capability where its user may.
    as_user = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    subprocess.run([*as_user, sys.executable, "-c", FIND, str(tmp_path), str(own)], cwd=ROOT, check=True)
    assert (tmp_path / "user/me/ours/cgroup.subtree_control").read_text() == "+memory"


@pytest.mark.parametrize("controllers", ["", "cpu pids"])
def test_a_machine_without_memory_groups_has_no_limits_and_says_so(
    tmp_path: Path, controllers: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = machine(tmp_path, "/", controllers=controllers)
    assert find_cgroups("ours", root=tmp_path, own=own) is None
    assert "has no memory controller" in caplog.text
