from __future__ import annotations

import marshal
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.engine import bytecode


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    made = tmp_path / "environment"
    (made / "lib").mkdir(parents=True)
    (made / "lib" / "module.py").write_text("x = 1\n")
    (made / "lib" / "template.py").write_text("{{ not python }}}\n")
    return made


def compiled(environment: Path) -> bytes:
    """Compile as a build does, and return the bytecode of the module."""
    subprocess.run([sys.executable, bytecode.__file__, str(environment)], check=True, capture_output=True)
    [path] = (environment / "lib" / "__pycache__").glob("module.*.pyc")
    return path.read_bytes()


def test_bytecode_does_not_depend_on_where_or_when_it_was_made(environment: Path, tmp_path: Path) -> None:
    first = compiled(environment)
    shutil.rmtree(environment / "lib" / "__pycache__")
    environment.rename(tmp_path / "moved")
    (tmp_path / "moved" / "lib" / "module.py").touch()
    assert compiled(tmp_path / "moved") == first
    assert first[4:8] == b"\x01\x00\x00\x00"
    assert marshal.loads(first[16:]).co_filename == "lib/module.py"


def test_bytecode_of_another_source_is_replaced(environment: Path) -> None:
    first = compiled(environment)
    (environment / "lib" / "module.py").write_text("x = 2\n")
    assert compiled(environment) != first
