"""What docs/deploying.md has an operator copy and apply deploys the operator's settings."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

import pytest

from tests.terraform.plans import Plan
from tests.terraform.workbench import ROOT, Workbench

PAGE = (ROOT / "docs" / "deploying.md").read_text()
ARCHIVE = ".terraform/archive/binderless-source.zip"
DIGEST_OF_EXAMPLES, DIGEST = "0" * 64, "0123456789abcdef" * 4


@pytest.fixture
def settings(bench: Workbench) -> Iterator[Path]:
    """The operator's config.yaml, after the commands of step 2 have been run."""
    copies = re.findall(r"^cp (terraform/examples/\S+) (\S+)", PAGE, re.MULTILINE)
    assert copies
    for source, target in copies:
        subprocess.run(["cp", source, target], cwd=bench.root, check=True)
    yield bench.root / "config.yaml"
    for _, target in copies:
        (bench.root / target).unlink()


def name_the_image(settings: Path) -> None:
    settings.write_text(settings.read_text().replace(DIGEST_OF_EXAMPLES, DIGEST))


def test_the_operators_settings_are_deployed(bench: Workbench, settings: Path) -> None:
    name_the_image(settings)
    plan = Plan(bench.plan())
    with zipfile.ZipFile(bench.folder() / ARCHIVE) as archive:
        assert archive.read("config.yaml") == settings.read_bytes()
    for function in plan.resources("google_cloudfunctions2_function"):
        assert "BINDERLESS_CONFIG" not in plan.environment(function)


def test_a_plan_leaves_the_files_alone_that_decide_what_is_in_the_archive(bench: Workbench) -> None:
    looked_for = re.findall(r'fileset\(local.root, "([*/]+)"\)', (bench.folder() / "archive.tf").read_text())
    assert looked_for
    archive = PurePath("terraform", ARCHIVE)
    assert all(len(PurePath(pattern).parts) < len(archive.parts) for pattern in looked_for)


def test_the_page_says_how_much_is_planned(plan_of: Callable[[str], Plan]) -> None:
    changes = plan_of("minimal").document["resource_changes"]
    made = [it for it in changes if it["mode"] == "managed" and it["change"]["actions"] == ["create"]]
    told = re.search(r"Plan: about (\d+) to add", PAGE)
    assert told
    assert int(told[1]) == round(len(made), -1)


@pytest.mark.usefixtures("settings")
def test_the_repository_of_images_comes_before_the_image_that_builds(bench: Workbench) -> None:
    target = re.search(r"apply (-target=\S+)", PAGE)
    assert target
    assert bench.run("plan", "-no-color", "-lock=false", target[1]).code == 0


@pytest.mark.usefixtures("settings")
def test_nothing_more_is_deployed_before_the_image_that_builds_is_named(bench: Workbench) -> None:
    done = bench.run("plan", "-no-color", "-lock=false")
    assert done.code == 1
    assert "builds.image of the config file must name the image" in done.text
