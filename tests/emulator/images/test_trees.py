from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from emulator.images import Entry, ImageError, Kind, scan, tree_hash
from emulator.images.tree import of_environment, stays_inside


def test_times_and_write_permission_do_not_change_the_hash(folder: Path) -> None:
    before = tree_hash(scan(folder))
    os.utime(folder / "bin" / "tool", (1, 1))
    (folder / "lib" / "site" / "module.py").chmod(0o400)
    assert tree_hash(scan(folder)) == before


def test_a_copy_elsewhere_has_the_same_hash(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    assert tree_hash(scan(tmp_path / "copy")) == tree_hash(scan(folder))


@pytest.mark.parametrize("change", ["content", "name", "executable", "target", "empty folder"])
def test_what_matters_to_a_program_changes_the_hash(folder: Path, change: str) -> None:
    before = tree_hash(scan(folder))
    module = folder / "lib" / "site" / "module.py"
    match change:
        case "content":
            module.write_text("x = 2\n")
        case "name":
            module.rename(module.with_name("other.py"))
        case "executable":
            module.chmod(0o755)
        case "target":
            (folder / "lib64").unlink()
            (folder / "lib64").symlink_to("bin")
        case _:
            (folder / "empty").mkdir()
    assert tree_hash(scan(folder)) != before


def test_links_are_listed_and_not_followed(folder: Path) -> None:
    (folder / "up").symlink_to("..")
    links = {entry.path: entry.target for entry in scan(folder) if entry.kind is Kind.LINK}
    assert links == {"bin/python": "/usr/bin/python3", "lib64": "lib", "up": ".."}


def test_a_pipe_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ImageError, match="pipe is neither a file nor a folder"):
        scan(folder)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(folder: Path) -> None:
    [entry] = [entry for entry in scan(folder) if entry.path == "bin/tool"]
    (folder / "bin" / "tool").write_text("")
    with pytest.raises(ImageError, match="changed"):
        list(entry.blocks())


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("lib64", "lib", True),
        ("a/b", "../c", True),
        ("a/b", "../../c", False),
        ("a", "..", False),
        ("a", "b/../../c", False),
        ("a", "/etc/passwd", False),
        ("a", "..name", True),
    ],
)
def test_a_link_stays_inside(path: str, target: str, expected: bool) -> None:
    assert stays_inside(path, target) is expected


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("bin/python", "/usr/bin/python3.11", True),
        ("bin/python3", "python", True),
        ("bin/python", "/etc/shadow", False),
        ("bin/tool", "/usr/bin/python3", False),
        ("bin/python", "/../etc/python", True),
        ("bin/python", "/proc/1/root/python/../x", False),
    ],
)
def test_only_the_interpreter_may_lie_outside_an_environment(path: str, target: str, expected: bool) -> None:
    assert of_environment(path, target) is expected


def test_the_mode_of_an_entry_is_one_of_two() -> None:
    assert Entry(path="a", kind=Kind.FILE).mode == 0o644
    assert Entry(path="a", kind=Kind.FILE, executable=True).mode == 0o755
