"""Fixtures for pytest: `pytest_plugins = ["emulator.alone.fixtures"]` in a conftest.py (docs/kubernetes.md)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulator.alone.testing import Kubernetes, running_kubernetes


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[Kubernetes]:
    """A cluster whose node runs pods, for all tests of the session."""
    with _folder() as folder, running_kubernetes(folder) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kubernetes_api() -> Iterator[Kubernetes]:
    """An API server and its controllers, for all tests of the session: pods stay Pending, and it starts sooner."""
    with _folder() as folder, running_kubernetes(folder, api_only=True) as cluster:
        yield cluster


@contextmanager
def _folder() -> Iterator[Path]:
    # Not pytest's own: nobody but its owner may enter that, and containers of root without bubblewrap have to.
    with tempfile.TemporaryDirectory(prefix="kubernetes-", ignore_cleanup_errors=True) as folder:
        if os.geteuid() == 0:
            Path(folder).chmod(0o711)
        yield Path(folder) / "state"
