from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from emulator.engine.errors import BuildFailed
from emulator.engine.home import Home, home_of
from emulator.images import Kind


def home_from(folder: Path, *names: str, start: str = "") -> Home:
    """The home made from a context like repo2docker's, with these names from *folder* in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("Dockerfile"), io.BytesIO())
        for name in names:
            archive.add(folder / name, f"src/{name}", recursive=False)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        home = home_of(archive, scripts={start})
        assert [b"".join(entry.blocks()) for entry in home.entries if entry.kind is Kind.FILE]
        return home


def test_only_the_repository_is_taken_in_order_with_its_folders(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.csv").write_text("1")
    (tmp_path / "b.ipynb").write_text("{}")
    home = home_from(tmp_path, "data/deep/a.csv", "b.ipynb")
    assert [entry.path for entry in home.entries] == ["b.ipynb", "data", "data/deep", "data/deep/a.csv"]


def test_the_start_script_is_made_executable(tmp_path: Path) -> None:
    for name in ("start", "other"):
        (tmp_path / name).write_text("exec")
    home = home_from(tmp_path, "start", "other", start="start")
    assert {entry.path: entry.executable for entry in home.entries} == {"other": False, "start": True}


def test_links_are_kept_unless_they_lead_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "inside").symlink_to("a")
    (tmp_path / "outside").symlink_to("../a")
    (tmp_path / "machine").symlink_to("/etc/passwd")
    home = home_from(tmp_path, "a", "inside", "outside", "machine")
    assert [(entry.path, entry.target) for entry in home.entries] == [("a", ""), ("inside", "a")]
    assert home.left_out == ("machine -> /etc/passwd", "outside -> ../a")


def test_hard_links_are_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    os.link(tmp_path / "a", tmp_path / "b")
    home = home_from(tmp_path, "a", "b")
    assert [(entry.path, entry.size) for entry in home.entries] == [("a", 7), ("b", 7)]


def test_a_pipe_in_a_repository_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BuildFailed, match="pipe is neither a file"):
        home_from(tmp_path, "pipe")
