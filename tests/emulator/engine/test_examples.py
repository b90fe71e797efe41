from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from emulator.examples import make_repository

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = ["broken", "notebook-only", "requirements"]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_the_same_commit_everywhere(tmp_path: Path, name: str) -> None:
    first = make_repository(EXAMPLES / name, tmp_path / "a")
    assert len(first) == 40
    assert make_repository(EXAMPLES / name, tmp_path / "b" / name) == first


def test_only_changed_content_makes_another_commit(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text("1")
    first = make_repository(tmp_path / "from", tmp_path / "to")
    assert make_repository(tmp_path / "from", tmp_path / "to") == first
    (tmp_path / "from" / "a").rename(tmp_path / "from" / "b")
    assert make_repository(tmp_path / "from", tmp_path / "to") != first
    files = subprocess.run(["git", "ls-files"], cwd=tmp_path / "to", capture_output=True, text=True, check=True).stdout
    assert files.split() == ["b"]


@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*/*.ipynb")), ids=lambda path: path.parent.name)
def test_the_notebooks_hold_no_output(notebook: Path) -> None:
    cells = json.loads(notebook.read_text())["cells"]
    assert cells and not any(cell.get("outputs") for cell in cells)
