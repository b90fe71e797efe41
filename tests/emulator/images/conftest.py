from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.images import RegistryClient
from tests.fakes.oci_registry import CREDENTIALS, OciRegistry


@pytest.fixture
def registry() -> Iterator[OciRegistry]:
    with OciRegistry() as running:
        yield running


@pytest.fixture
def client(registry: OciRegistry) -> Iterator[RegistryClient]:
    with RegistryClient(registry.address, CREDENTIALS) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small environment: a package, a script, a link within and the link to the interpreter."""
    made = tmp_path / "tree"
    (made / "lib" / "site").mkdir(parents=True)
    (made / "lib" / "site" / "module.py").write_text("x = 1\n")
    (made / "bin").mkdir()
    (made / "bin" / "tool").write_text("#!/bin/sh\n")
    (made / "bin" / "tool").chmod(0o755)
    (made / "bin" / "python").symlink_to("/usr/bin/python3")
    (made / "lib64").symlink_to("lib")
    return made


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> Iterator[bytes]:
    """The archive as a stranger could make it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    yield buffer.getvalue()
