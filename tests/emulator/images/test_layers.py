from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from emulator.images import ImageError, environment_layer, home_layer, scan, tree_hash

ROOT = Path("/srv/environments")


def test_the_same_tree_makes_the_same_layer(folder: Path) -> None:
    first = environment_layer(scan(folder), root=ROOT)
    (folder / "bin" / "tool").touch()
    second = environment_layer(scan(folder), root=ROOT)
    assert first.descriptor == second.descriptor
    assert b"".join(first.blocks()) == b"".join(second.blocks())


def test_the_descriptor_is_of_the_bytes(folder: Path) -> None:
    layer = environment_layer(scan(folder), root=ROOT)
    content = b"".join(layer.blocks())
    assert layer.descriptor.size == len(content)
    assert layer.descriptor.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_an_environment_lies_in_the_folder_named_by_its_hash(folder: Path) -> None:
    layer = environment_layer(scan(folder), root=ROOT)
    wanted = f"/srv/environments/{tree_hash(scan(folder))}"
    assert layer.descriptor.annotations == {"binderless.environment": wanted}
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.blocks()))) as archive:
        assert f"{wanted.lstrip('/')}/bin/tool" in archive.getnames()


def test_other_programs_read_long_and_foreign_names(tmp_path: Path) -> None:
    name = "ü" * 60 + "/" + "y" * 120
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("here")
    layer = home_layer(scan(tmp_path))
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.blocks()))) as archive:
        member = archive.extractfile(f"home/jovyan/{name}")
        assert member is not None and member.read() == b"here"
        assert {(info.uid, info.gid, info.mtime) for info in archive} == {(0, 0, 0)}


def test_an_environment_with_a_link_out_is_not_packed(folder: Path) -> None:
    (folder / "secrets").symlink_to("/etc/shadow")
    with pytest.raises(ImageError, match="secrets points out of the environment"):
        environment_layer(scan(folder), root=ROOT)
