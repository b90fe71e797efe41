"""Running uv, Python and a repository's own scripts in a job's private folder, where they find no secret."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator.engine import children, confinement
from emulator.engine.confinement import confined
from emulator.engine.limits import Limits

# What a build may know of the environment it was started in: how to reach the package index.
_KEPT = re.compile(
    r"PATH|LANG|LC_ALL|(?i:(ALL|HTTP|HTTPS|NO)_PROXY)|SSL_CERT_(DIR|FILE)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|GIT_SSL_CAINFO|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|OFFLINE|HTTP_TIMEOUT)"
)
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """`job` is the folder of this build alone; `shared_cache` is used for packages of our own choice only."""

    job: Path
    environ: Mapping[str, str]
    shared_cache: Path | None
    confine: bool
    limits: Limits

    @property
    def uv(self) -> str:
        return str(Path(sys.executable).with_name("uv"))

    @property
    def environment(self) -> Path:
        """The environment that is being built."""
        return self.job / "environment"

    @property
    def home(self) -> Path:
        """The home folder of the image, where files of the repository take part in the build."""
        return self.job / "home"

    @property
    def seen_home(self) -> Path:
        """Where what runs `at_home` finds that folder."""
        return confinement.HOME if self.confine else self.home

    def trusted(self, *command: str) -> Iterator[str]:
        """Run a command that executes nothing of the repository's choice; its output, line by line.

        It may use the shared cache of packages, but only where other builds are kept from writing to it.
        """
        cache = self.shared_cache if self.confine and self.shared_cache else self.job / "cache"
        return self._run(command, self._variables(cache, self.job / "tmp"), self.job)

    def untrusted(self, *command: str) -> Iterator[str]:
        """Run, in the job's folder, a command that may execute what strangers wrote; its output, line by line."""
        variables = self._variables(self.job / "cache", self.job / "tmp")
        return self._run(confined(command, writable=[self.job]) if self.confine else command, variables, self.job)

    def at_home(self, *command: str, folder: str = "") -> Iterator[str]:
        """Run such a command in the home folder, or in *folder* of it, with the environment active."""
        variables = self._variables(self.job / "cache", self.seen_home) | self._active()
        if not self.confine:
            return self._run(command, variables, self.home / folder)
        inside = confined(command, writable=[self.job], home=self.home, folder=self.seen_home / folder)
        return self._run(inside, variables, self.job)

    def _run(self, command: tuple[str, ...] | list[str], variables: Mapping[str, str], folder: Path) -> Iterator[str]:
        (self.job / "tmp").mkdir(exist_ok=True)
        return children.run(command, folder=folder, environ=variables, limits=self.limits, measured=self.job)

    def _active(self) -> dict[str, str]:
        """What repo2docker's images have in their environment while they are built."""
        return {
            "PATH": f"{self.seen_home}/.local/bin:{self.environment}/bin:{_SYSTEM_PATH}",
            "USER": "jovyan",
            "NB_USER": "jovyan",
            "REPO_DIR": str(self.seen_home),
            "NB_PYTHON_PREFIX": str(self.environment),
            "KERNEL_PYTHON_PREFIX": str(self.environment),
            "VIRTUAL_ENV": str(self.environment),
            "SHELL": "/bin/bash",
        }

    def _variables(self, cache: Path, home: Path) -> dict[str, str]:
        return {name: value for name, value in self.environ.items() if _KEPT.fullmatch(name)} | {
            "HOME": str(home),
            "TMPDIR": str(self.job / "tmp"),
            "PYTHONHASHSEED": "0",
            "UV_CACHE_DIR": str(cache),
            "UV_LINK_MODE": "copy",
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }
