"""The rules of this code base that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.core import errors
from functions.core.config import every_setting

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("functions", "emulator", "hub", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)
LONGEST_MODULE, LONGEST_FUNCTION, DEEPEST = 300, 40, 3
NESTING = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_module_says_what_it_is_for_and_is_one_idea(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_function_fits_on_a_page_and_nests_little(path: Path) -> None:
    for function in _functions(ast.parse(path.read_text())):
        first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
        length = (function.end_lineno or 0) - first.lineno + 1
        assert length <= LONGEST_FUNCTION, f"{function.name}: {length} lines"
        assert _depth(function) <= DEEPEST, f"{function.name} nests {_depth(function)} deep"


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _depth(node: ast.AST) -> int:
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        # An elif is one more case, not one level deeper.
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        deepest = max(deepest, _depth(child) + (isinstance(child, NESTING) and not is_elif))
    return deepest


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \|", page, re.MULTILINE)
    assert rows == [item.name for item in every_setting()]
    for item in every_setting():
        assert item.field.metadata["help"] in page


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = dict(re.findall(r"(\w+) +(\d{3}) ", errors.__doc__ or ""))
    classes = {
        name: str(kind.status)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.BinderError) and kind is not errors.BinderError
    }
    assert drawn == classes


def test_make_test_runs_every_folder_of_tests() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    named_there = re.findall(r"^TESTS = (.*)$", makefile, re.MULTILINE)[0].split()
    with_tests = {path.parent.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")}
    assert {folder for folder in with_tests if not any(folder.is_relative_to(each) for each in named_there)} == set()


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{named(page)} links to {target}"


def test_the_repository_names_no_machine_and_no_registry_host() -> None:
    # Written apart, so that this file is not among what is found.
    hosts = ["pypi" + ".org", "registry.npm" + "js.org", "deb." + "debian.org", "files.python" + "hosted.org"]
    pattern = "|".join(map(re.escape, hosts)) + r"|(^|[^A-Za-z0-9._-])/(work|root|home/[a-z]+/(?!jovyan))/"
    grep = ["git", "grep", "-nIP", pattern, "--", ".", ":!tests/rules"]
    found = subprocess.run(grep, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == ""
