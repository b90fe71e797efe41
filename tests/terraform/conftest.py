"""Terraform on a copy of the configuration, and the plans of the examples, made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.terraform.plans import Plan, example
from tests.terraform.workbench import Workbench, workbench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")
    with workbench(tmp_path_factory.mktemp("terraform") / "repository") as made:
        yield made


@pytest.fixture(scope="session")
def plan_of(bench: Workbench) -> Callable[[str], Plan]:
    """The plan of an example, by its name."""
    return cache(lambda name: Plan(bench.plan(*example(name))))
