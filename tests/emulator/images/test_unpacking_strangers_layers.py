from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from emulator.images import ImageError, home_layer, scan, tree_hash
from emulator.images.tree import stays_inside
from emulator.images.unpack import unpack
from tests.emulator.images.conftest import tar_of


def a_file(name: str, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, b"x" if info.isreg() else b""


def a_folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return a_file(name, type=tarfile.DIRTYPE)


def a_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return a_file(name, type=tarfile.SYMTYPE, linkname=target)


def unpacked(into: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    return unpack(tar_of(*members), prefix="in", into=into, links=stays_inside, writable=True)


@pytest.mark.parametrize(
    "members",
    [
        [a_file("/etc/passwd")],
        [a_folder("in"), a_file("in/../../evil")],
        [a_folder("in"), a_file("in/./a")],
        [a_file("elsewhere")],
        [a_file("in2/a")],
        [a_file("in")],
        [a_link("in", "/etc")],
        [a_file("in/a/b")],
        [a_link("in/a", "/etc")],
        [a_link("in/a", "../../etc")],
        [a_folder("in/a"), a_link("in/b", "a"), a_file("in/b/c")],
        [a_folder("in/a"), a_link("in/a", "b")],
        [a_file("in/a"), a_file("in/a")],
        [a_file("in/a"), a_file("in/b", type=tarfile.LNKTYPE, linkname="in/a")],
        [a_file("in/a", type=tarfile.CHRTYPE)],
        [a_file("in/a", type=tarfile.BLKTYPE)],
        [a_file("in/a", type=tarfile.FIFOTYPE)],
    ],
    ids=lambda members: " ".join(f"{info.name}:{info.type.decode()}" for info, _ in members),
)
def test_what_would_leave_the_folder_or_is_no_plain_content_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    with pytest.raises(ImageError, match="The image holds"):
        unpacked(tmp_path / "out", *members)
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_special_permissions_and_owners_are_not_restored(tmp_path: Path) -> None:
    unpacked(tmp_path / "out", a_file("in/a", mode=0o6777, uid=1234, gid=1234))
    status = (tmp_path / "out" / "a").stat()
    assert status.st_mode & 0o7022 == 0
    assert status.st_uid == os.getuid()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a tar archive"):
        unpack(iter([b"\x01" * 4096]), prefix="in", into=tmp_path / "out", links=stays_inside, writable=True)


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    whole = b"".join(tar_of(a_file("in/a")))
    with pytest.raises(ImageError):
        unpack(iter([whole[:512]]), prefix="in", into=tmp_path / "out", links=stays_inside, writable=True)


def test_the_hash_of_what_was_written_is_the_trees(tmp_path: Path, folder: Path) -> None:
    (folder / "bin" / "python").unlink()
    layer = home_layer(scan(folder))
    found = unpack(layer.blocks(), prefix="home/jovyan", into=tmp_path / "out", links=stays_inside, writable=True)
    assert found == tree_hash(scan(folder)) == tree_hash(scan(tmp_path / "out"))


def test_an_environment_is_unpacked_without_permission_to_write_files(tmp_path: Path) -> None:
    unpack(tar_of(a_file("in/a")), prefix="in", into=tmp_path / "out", links=stays_inside, writable=False)
    assert (tmp_path / "out" / "a").stat().st_mode & 0o777 == 0o444
