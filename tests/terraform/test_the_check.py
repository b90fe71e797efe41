"""The check fails when it should: each mistake is made once, in a copy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.terraform import test_grants
from tests.terraform.plans import Plan, example
from tests.terraform.workbench import Workbench

Change = Callable[[str, str, str], None]
FUNCTIONS = "functions.tf"


@pytest.fixture
def change(bench: Workbench, tmp_path: Path) -> Iterator[Change]:
    """Replace the first match of a pattern in a file of the copy, until the test is over."""
    kept: list[tuple[Path, Path]] = []

    def replace(name: str, pattern: str, by: str) -> None:
        file = bench.folder() / name
        kept.append((file, Path(shutil.copy(file, tmp_path / name))))
        text, times = re.subn(pattern, by, file.read_text(), count=1, flags=re.MULTILINE)
        assert times == 1, f"{pattern} is not in {name}"
        file.write_text(text)

    yield replace
    for file, copy in kept:
        shutil.copy(copy, file)


@pytest.mark.parametrize(
    ("pattern", "by", "told"),
    [
        ("max_instance_count  ", "max_instances  ", 'An argument named "max_instances" is not expected here'),
        (r"^  location = var.region\n  labels", "  labels", 'The argument "location" is required'),
        ("  service_config {", "  service {", 'Blocks of type "service" are not expected here'),
        ("timeout_seconds  .*", 'timeout_seconds = ["soon"]', 'attribute "timeout_seconds": number required'),
        (
            "google_service_account.function_builder.id",
            "google_service_account.function_builder.uri",
            "no argument, nested",
        ),
    ],
    ids=["misspelt attribute", "missing attribute", "wrong block", "wrong type", "wrong reference"],
)
def test_a_mistake_in_a_resource_is_not_valid(
    pattern: str, by: str, told: str, bench: Workbench, change: Change
) -> None:
    change(FUNCTIONS, pattern, by)
    done = bench.run("validate", "-no-color")
    assert done.code == 1
    assert told in re.sub(r"\s*\n[│ ]*", " ", done.text)


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (
            r'"roles/artifactregistry.writer"\n        member     = google_service_account.builder.member',
            '"roles/artifactregistry.admin"\n        member     = google_service_account.builder.member',
        ),
        (r'only   = "resource.name == .*', "only   = null"),
        (r'function = "cull", member = .* \}', 'function = "cull", member = "allUsers" }'),
        ('"cloudbuild.builds.update"', '"cloudbuild.builds.update", "cloudbuild.builds.approve"'),
    ],
    ids=["a wider role", "no condition", "everybody", "a further permission"],
)
def test_a_widened_role_is_seen(pattern: str, by: str, bench: Workbench, change: Change) -> None:
    change("iam.tf", pattern, by)
    plan = Plan(bench.plan(*example("complete")))
    with pytest.raises(AssertionError):
        test_grants.test_these_are_all_the_grants(lambda _: plan)
        test_grants.test_with_a_private_pool_it_is_one_more(lambda _: plan)


def test_a_builder_that_reads_a_secret_is_seen(bench: Workbench, change: Change) -> None:
    change(
        "secrets.tf",
        r"google_service_account.function\[each.value.function\].member",
        "google_service_account.builder.member",
    )
    plan = Plan(bench.plan(*example("complete")))
    with pytest.raises(AssertionError):
        test_grants.test_a_secret_is_read_by_those_who_need_it(lambda _: plan)


def test_a_broken_validation_fails_the_tests(bench: Workbench, change: Change) -> None:
    change("variables.tf", r'can\(regex\("\^\[a-z\]\+-\[a-z\]\+\[0-9\]\+\$", var.region\)\)', 'var.region != ""')
    done = bench.run("test", "-no-color", "-filter=tests/refused.tftest.hcl")
    assert done.code == 1
    assert 'run "a_zone_for_a_region"... fail' in done.text
