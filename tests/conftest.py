"""Services that tests of several folders are tried on, and which tests share a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.fakes import java_emulators


class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process the tests of a whole folder, since most folders start services once for all of their tests."""

    def _split_scope(self, nodeid: str) -> str:
        folders = nodeid.partition("::")[0].split("/")[:-1]
        return "/".join(folders[: 3 if "emulator" in folders else 2])


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFolder:
    """https://pytest-xdist.readthedocs.io/en/stable/distribution.html"""
    return ByFolder(config, log)


@pytest.fixture(scope="session")
def firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Google's Firestore emulator, started once for all tests that need it."""
    with java_emulators.running(java_emulators.FIRESTORE, tmp_path_factory.mktemp("firestore") / "log") as address:
        yield address
