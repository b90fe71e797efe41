"""Services that tests of several folders are tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import java_emulators


@pytest.fixture(scope="session")
def firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Google's Firestore emulator, started once for all tests that need it."""
    with java_emulators.running(java_emulators.FIRESTORE, tmp_path_factory.mktemp("firestore") / "log") as address:
        yield address
