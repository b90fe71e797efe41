"""The configuration is formatted, valid, and does what its own tests say."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.terraform import readme
from tests.terraform.workbench import ROOT, Workbench

FOLDERS = sorted(
    {str(path.parent.relative_to(ROOT)) for path in (ROOT / "terraform").rglob("*.tf")} - {"terraform/tests"}
)


def test_it_is_formatted(bench: Workbench) -> None:
    done = bench.run("fmt", "-check", "-recursive", "-diff")
    assert (done.code, done.text) == (0, "")


@pytest.mark.parametrize("folder", FOLDERS)
def test_it_is_valid(folder: str, bench: Workbench) -> None:
    done = bench.run("validate", "-no-color", folder=folder)
    assert done.code == 0, done.text


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.timeout(600)
def test_its_own_tests_pass(folder: str, bench: Workbench) -> None:
    done = bench.run("test", "-no-color", folder=folder)
    assert done.code == 0, done.text


@pytest.mark.parametrize("kind", ["variable", "output"])
def test_names_are_in_the_order_of_the_alphabet(kind: str) -> None:
    for folder in FOLDERS:
        for file in (ROOT / folder).glob("*.tf"):
            names = re.findall(rf'^{kind} "(\w+)"', file.read_text(), re.MULTILINE)
            assert names == sorted(names), file.name


def test_every_validation_is_shown_to_refuse_something() -> None:
    text = (ROOT / "terraform" / "tests" / "refused.tftest.hcl").read_text()
    refused = re.findall(r"expect_failures = \[var\.(\w+)\]", text)
    for variable in readme.variables(ROOT / "terraform"):
        assert refused.count(variable.name) >= variable.validations, variable.name


def test_the_readme_lists_inputs_and_outputs() -> None:
    assert readme.current(ROOT / "terraform") == readme.wanted(ROOT / "terraform")


def test_nothing_personal_is_committed() -> None:
    # What an operator has beside the examples is ignored or theirs to keep; examples name no real project.
    pattern = r"AIza[0-9A-Za-z_-]{35}|-----BEGIN|\"private_key\"|[0-9]{6,}-[0-9a-z]{32}\.apps"
    found = subprocess.run(
        [
            "git",
            "grep",
            "-nIE",
            pattern,
            "--",
            "terraform",
            "tests/terraform",
            ":!tests/terraform/test_configuration.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""


@pytest.mark.parametrize("name", ["config", "existing_hub"])
def test_settings_of_the_tests_are_those_of_the_examples_with_an_image_that_builds(name: str) -> None:
    example, tested = ((ROOT / "terraform" / folder / f"{name}.yaml").read_text() for folder in ("examples", "tests"))
    assert tested == example.replace("0" * 64, "0123456789abcdef" * 4)
