"""How long builds take and what images cost on disk: `python -m benchmarks.builds`.

The real jupyter-repo2docker with the process engine and a registry on this machine, without the stack around them.
Needs a package index. The cache of packages is the one that UV_CACHE_DIR names, or an empty one: then the time to
download is in the figures of the first builds.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe
from emulator.engine.limits import size_of
from emulator.examples import make_repository
from emulator.images import pull, with_own_environment
from emulator.images.placement import spread

LOGIN = "builder:benchmark-password"
CREDENTIALS = {
    "admin_token": "admin-token",
    "pubsub_token": "pubsub-token",
    "registry": {"builder": {"password": LOGIN.partition(":")[2], "push": True}},
}
SCIENCE = {"requirements.txt": "numpy\npandas\nmatplotlib\n"}
EDITABLE = {"requirements.txt": "-e .\n", "setup.py": "from setuptools import setup\nsetup(name='mine')\n"}


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder for everything, and a registry."""

    folder: Path
    registry: str

    def measure(self, what: str, name: str, files: Mapping[str, str]) -> None:
        """Build, pull, and print the time of both and the disk that they took."""
        before = self._sizes()
        started = time.monotonic()
        image = self._build(name, files)
        built = time.monotonic()
        asyncio.run(pull(image, registry=self.registry, credentials=LOGIN, root=self.folder / "kubelet"))
        pulled = time.monotonic()
        registry, kubelet = ((after - earlier) / 1e6 for after, earlier in zip(self._sizes(), before, strict=True))
        print(
            f"{what:<48} build {built - started:6.1f} s   pull {pulled - built:5.1f} s"
            f"   registry +{registry:6.1f} MB   node +{kubelet:6.1f} MB",
            flush=True,
        )

    def copy(self, name: str) -> None:
        """Print what a container's own copy of the environment costs, where there is no bubblewrap."""
        image = asyncio.run(
            pull(self._build(name, {}), registry=self.registry, credentials=LOGIN, root=self.folder / "kubelet")
        )
        assert image.environment is not None
        pods = self.folder / "kubelet" / "copied-for-pod"
        pods.mkdir()
        spread(pods)
        into = pods / ("c" * (len(str(image.environment)) - len(str(pods)) - 1))
        started = time.monotonic()
        with_own_environment(image, into)
        print(f"{'a copy of its environment':<48} {time.monotonic() - started:6.1f} s {size_of(into) / 1e6:6.1f} MB")

    def _sizes(self) -> tuple[int, int]:
        return size_of(self.folder / "cloud"), size_of(self.folder / "kubelet")

    def _build(self, name: str, files: Mapping[str, str]) -> str:
        source = self.folder / "sources" / name
        source.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            (source / path).write_text(content)
        sha = make_repository(source, self.folder / "repositories" / name)
        image = f"{self.registry}/binder-{name}:{sha}"
        command = [str(Path(sys.executable).with_name("jupyter-repo2docker")), "--engine=process", "--no-run", "--push"]
        command += ["--config=/nonexistent", f"--image={image}", f"--ref={sha}", "--user-name=jovyan"]
        command += ["--user-id=1000", "--", f"file://{self.folder}/repositories/{name}"]
        done = subprocess.run(command, env=self._environment(), cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        return image

    def _environment(self) -> dict[str, str]:
        user, _, password = LOGIN.partition(":")
        login = {"registry": self.registry, "username": user, "password": password}
        return {
            "UV_CACHE_DIR": str(self.folder / "uv-cache"),
            **os.environ,
            "TMPDIR": str(self.folder),
            "BINDERLESS_ENVIRONMENTS": str(self.folder / "kubelet" / "environments"),
            "CONTAINER_ENGINE_REGISTRY_CREDENTIALS": json.dumps(login),
        }


@contextmanager
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "credentials.json").write_text(json.dumps(CREDENTIALS))
        command = [sys.executable, "-m", "emulator.cloud", "--state", name, "--credentials", f"{name}/credentials.json"]
        command += ["--pubsub-port", "0", "--registry-port", "0", "--http-port", "0"]
        with (folder / "cloud.log").open("w") as log, subprocess.Popen(command, stderr=log) as cloud:
            try:
                yield Bench(folder, f"127.0.0.1:{_registry_port(folder / 'cloud.log')}")
            finally:
                cloud.terminate()


def _registry_port(log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if match := re.search(r"listening: .* registry (\d+)", log.read_text()):
            return match[1]
        time.sleep(0.05)
    raise SystemExit(log.read_text())


def main() -> None:
    print(describe())
    with bench() as each:
        each.measure("first build of all (nothing asked for)", "empty", {"index.ipynb": "{}"})
        each.measure("another repository that asks for nothing", "second", {"other.ipynb": "{}"})
        each.measure("first build of numpy, pandas, matplotlib", "science", SCIENCE)
        each.measure("another repository with the same requirements", "again", SCIENCE | {"more.ipynb": "{}"})
        each.measure("the same, a new commit", "science", SCIENCE | {"new.ipynb": "{}"})
        each.measure("requirements of files (-e .), never shared", "editable", EDITABLE)
        each.measure("a postBuild that writes to home only", "post", {"postBuild": "#!/bin/sh\necho a > b\n"})
        each.copy("empty")


if __name__ == "__main__":
    main()
