"""The source archive is deployable: the functions import nothing that it does not hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", [ROOT / "main.py", *sorted((ROOT / "functions").rglob("*.py"))], ids=str)
def test_a_function_imports_nothing_outside_the_archive(path: Path) -> None:
    imported = {
        (node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    assert imported.isdisjoint({"emulator", "tests", "hub", "benchmarks"})
