"""Real builds: the command that a build job runs, against a registry of the test."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.examples import make_repository
from emulator.images import PulledImage, pull
from tests.fakes.oci_registry import CREDENTIALS, OciRegistry

with warnings.catch_warnings():
    # repo2docker imports its logging library by an old name.
    warnings.simplefilter("ignore", DeprecationWarning)
    import repo2docker.app  # noqa: F401


@dataclass(frozen=True)
class Build:
    """How a build ended: its exit code, and its log as (phase, message)."""

    image: str
    exit_code: int
    log: tuple[tuple[str | None, str], ...]

    def messages(self, phase: str) -> list[str]:
        return [message.strip() for found, message in self.log if found == phase]


@dataclass(frozen=True)
class Workshop:
    """Where builds push to, and where a kubelet would restore what they made."""

    registry: OciRegistry
    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "kubelet"

    def build(self, name: str, files: dict[str, str], *options: str, **variables: str) -> Build:
        """Run repo2docker for a repository with these files, with these options and variables beside the usual."""
        with self.started(name, files, *options, **variables) as (image, process):
            output, _ = process.communicate()
        lines = [json.loads(line) for line in output.splitlines()]
        return Build(image, process.returncode, tuple((line.get("phase"), line["message"]) for line in lines))

    @contextmanager
    def started(
        self, name: str, files: dict[str, str], *more: str, **variables: str
    ) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        """The same build while it runs, and the image that it makes."""
        source = self.folder / "sources" / name
        for path, content in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(content)
        sha = make_repository(source, self.folder / "repositories" / name)
        image = f"{self.registry.address}/binder/{name}:{sha}"
        options = [
            "--engine=process",
            "--json-logs",
            "--config=/nonexistent",
            "--no-run",
            *([] if "BINDERLESS_IMAGE_STORE" in variables else ["--push"]),
            "--image",
            image,
            *more,
        ]
        user = ["--ref", sha, "--user-name", "jovyan", "--user-id", "1000"]
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("jupyter-repo2docker")), *options, *user, "--"]
            + [f"file://{self.folder}/repositories/{name}"],
            env=self._environment() | variables,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with process:
            yield image, process

    def pull(self, image: str) -> PulledImage:
        address = self.registry.address
        return asyncio.run(pull(image, registry=address, credentials=CREDENTIALS, root=self.root))

    def _environment(self) -> dict[str, str]:
        user, password = CREDENTIALS.split(":")
        login = {"registry": self.registry.address, "username": user, "password": password}
        return {
            "UV_CACHE_DIR": str(Path.home() / ".cache" / "uv"),
            **os.environ,
            "TMPDIR": str(self.folder),
            "BINDERLESS_ENVIRONMENTS": str(self.root / "environments"),
            "CONTAINER_ENGINE_REGISTRY_CREDENTIALS": json.dumps(login),
        }


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    # Each build makes and removes 25,000 files, which takes seconds in memory and up to minutes on a busy disk.
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as folder, OciRegistry() as registry:
        yield Workshop(registry, Path(folder))
