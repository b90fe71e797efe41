from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from emulator.images.placement import spread


def test_a_folder_that_cannot_be_spread_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file", tmp_path / "nowhere", Path("/proc/self")):
        spread(path)
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs another file system")
def test_a_file_system_that_knows_no_such_thing_is_fine() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        spread(Path(folder))
        (Path(folder) / "file").touch()
