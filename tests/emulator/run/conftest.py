"""Runtimes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.run.sandbox import find_bwrap
from tests.emulator.run.harness import Runtime, checkout, start

# Each exercises one thing, so that tests can share one runtime and not disturb each other.
FUNCTIONS: dict[str, dict[str, Any]] = {
    "echo": {"entry_point": "echo", "concurrency": 8, "environment": {"GREETING": "hello"}},
    "events": {"entry_point": "events", "concurrency": 20},
    "narrow": {"entry_point": "sleep", "concurrency": 2, "max_instances": 2, "queue_s": 20},
    "full": {"entry_point": "hold", "concurrency": 1, "max_instances": 1, "queue_s": 0.2},
    "spread": {"entry_point": "sleep", "concurrency": 20, "max_instances": 4},
    "hasty": {"entry_point": "sleep", "timeout_s": 0.5},
    "hasty-events": {"entry_point": "events", "timeout_s": 0.5},
    "background": {"entry_point": "background"},
    "brief": {"entry_point": "echo", "idle_s": 0.3},
    "crash": {"entry_point": "crash"},
    "mortal": {"entry_point": "hold", "max_instances": 1},
    "broken": {"entry_point": "no_such_function"},
    "imports": {"entry_point": "imports"},
    "write": {"entry_point": "write"},
    "answer": {"entry_point": "answer"},
    "shout": {"entry_point": "shout"},
}


@pytest.fixture(scope="package")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    folder = tmp_path_factory.mktemp("run")
    checkout(folder / "source")
    running = start(folder, FUNCTIONS)
    yield running
    assert running.end() == 0


@pytest.fixture(params=["bubblewrap", "plain"])
def path(request: pytest.FixtureRequest) -> str | None:
    """The PATH of a runtime that finds bubblewrap, and of one that does not."""
    if request.param == "bubblewrap" and find_bwrap() is None:
        pytest.skip("needs bubblewrap")
    return None if request.param == "bubblewrap" else "/nonexistent"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a checkout to start a runtime of."""
    checkout(tmp_path / "source")
    return tmp_path
