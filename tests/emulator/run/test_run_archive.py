"""What the source archive holds."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from emulator.run.archive import BadArchive, digest, entries
from tests.emulator.run.harness import checkout


def names(source: Path) -> list[str]:
    return [str(entry.name) for entry in entries(source, source / "config.yaml")]


def test_the_archive_is_exactly_what_is_deployed(tmp_path: Path) -> None:
    source = checkout(tmp_path / "source")
    (source / "functions" / "core").mkdir()
    (source / "functions" / "core" / "specs.py").touch()
    (source / "functions" / "__pycache__").mkdir()
    (source / "functions" / "__pycache__" / "x.cpython-311.pyc").touch()
    (source / "emulator").mkdir()
    (source / "emulator" / "secret.py").touch()
    assert names(source) == [
        "config.yaml",
        "functions/__init__.py",
        "functions/core/specs.py",
        "main.py",
        "requirements.txt",
    ]


def test_the_configuration_may_lie_elsewhere(tmp_path: Path) -> None:
    source = checkout(tmp_path / "source")
    (tmp_path / "local.yaml").touch()
    origins = {str(entry.name): entry.origin for entry in entries(source, tmp_path / "local.yaml")}
    assert origins["config.yaml"] == tmp_path / "local.yaml"


@pytest.mark.parametrize("missing", ["main.py", "requirements.txt", "config.yaml"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    source = checkout(tmp_path / "source")
    (source / missing).unlink()
    with pytest.raises(BadArchive, match=missing):
        names(source)


@pytest.mark.parametrize("link", ["functions/passwd.py", "functions/etc", "main.py"])
def test_a_link_out_of_the_checkout_is_refused(tmp_path: Path, link: str) -> None:
    source = checkout(tmp_path / "source")
    (source / link).unlink(missing_ok=True)
    (source / link).symlink_to("/etc" if link.endswith("etc") else "/etc/passwd")
    with pytest.raises(BadArchive, match=Path(link).name):
        names(source)


def test_the_digest_tells_names_and_contents_apart() -> None:
    a, b = PurePosixPath("a"), PurePosixPath("b")
    archives = [
        [(a, b"x")],
        [(b, b"x")],
        [(a, b"y")],
        [(a, b""), (b, b"x")],
        [(a, b"x"), (b, b"")],
        [(a, b"1\0b\x001\0")],
    ]
    assert len({digest(each) for each in archives}) == len(archives)
    assert digest([(a, b"x")]) == digest([(a, b"x")])
