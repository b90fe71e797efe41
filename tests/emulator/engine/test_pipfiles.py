from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.engine.pipfile import python_of, requirements_of


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("a = '*'", "a"),
        ("a = '==1.0'", "a==1.0"),
        ("a = {version = '>=1', extras = ['x', 'y']}", "a[x,y]>=1"),
        ("a = {version = '*', markers = \"os_name == 'nt'\", sys_platform = \"== 'win32'\"}",
         "a ; (os_name == 'nt') and sys_platform == 'win32'"),
        ("a = {path = '.', editable = true}", "-e ."),
        ("a = {path = 'sub/folder'}", "./sub/folder"),
        ("a = {file = 'https://example.org/a.whl'}", "a @ https://example.org/a.whl"),
        ("a = {git = 'https://example.org/a.git', ref = 'v1', subdirectory = 'b'}",
         "a @ git+https://example.org/a.git@v1#subdirectory=b"),
        ("a = {version = '==1', index = 'pypi'}", "a==1"),
    ],
)  # fmt: skip
def test_an_entry_is_a_requirement(tmp_path: Path, entry: str, line: str) -> None:
    (tmp_path / "Pipfile").write_text(f"[dev-packages]\n{entry}\n")
    assert requirements_of(tmp_path / "Pipfile") == (line,)


def test_a_lock_is_read_with_its_hashes_and_indexes(tmp_path: Path) -> None:
    sources = [{"name": "pypi", "url": "u"}, {"name": "ours", "url": "https://example.org/simple"}]
    lock = {
        "_meta": {"sources": sources, "requires": {"python_version": "3.11"}},
        "default": {"a": {"version": "==1", "hashes": ["sha256:00", "sha256:11"], "markers": "python_version >= '3'"}},
        "develop": {"b": {"version": "==2"}},
        "docs": {"c": {"version": "==3"}},
    }
    (tmp_path / "Pipfile.lock").write_text(json.dumps(lock))
    assert requirements_of(tmp_path / "Pipfile.lock") == (
        "--extra-index-url https://example.org/simple",
        "a==1 ; (python_version >= '3') --hash=sha256:00 --hash=sha256:11",
        "b==2",
    )
    assert python_of(tmp_path / "Pipfile.lock", tmp_path / "Pipfile") == "3.11"
