"""Running uv and Python in a job's private folder, with an environment that holds no secret."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.engine.confinement import confined
from emulator.engine.errors import BuildFailed
from emulator.engine.reasons import reason_of

# What a build may know of the environment it was started in: how to reach the package index.
_KEPT = re.compile(
    r"PATH|LANG|LC_ALL|(?i:(ALL|HTTP|HTTPS|NO)_PROXY)|SSL_CERT_(DIR|FILE)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|GIT_SSL_CAINFO|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|OFFLINE|HTTP_TIMEOUT)"
)
_LINES_KEPT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """`job` is the folder of this build alone; `shared_cache` is used for packages of our own choice only."""

    job: Path
    environ: Mapping[str, str]
    shared_cache: Path | None
    confine: bool

    @property
    def uv(self) -> str:
        return str(Path(sys.executable).with_name("uv"))

    def trusted(self, *command: str) -> Iterator[str]:
        """Run a command that executes nothing of the repository's choice; its output, line by line.

        It may use the shared cache of packages, but only where other builds are kept from writing to it.
        """
        cache = self.shared_cache if self.confine and self.shared_cache else self.job / "cache"
        return self._run(command, cache, self.job)

    def untrusted(self, *command: str, folder: Path) -> Iterator[str]:
        """Run, in *folder*, a command that may execute what strangers wrote; its output, line by line."""
        cache = self.job / "cache"
        return self._run(confined(command, writable=[self.job]) if self.confine else command, cache, folder)

    def _run(self, command: Sequence[str], cache: Path, folder: Path) -> Iterator[str]:
        last: deque[str] = deque(maxlen=_LINES_KEPT)
        with subprocess.Popen(
            command,
            cwd=folder,
            env=self._environment(cache),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last.append(line)
                yield line
        if process.returncode:
            raise BuildFailed(reason_of(list(last)) if last else f"exit code {process.returncode}")

    def _environment(self, cache: Path) -> dict[str, str]:
        for name in ("home", "tmp"):
            (self.job / name).mkdir(exist_ok=True)
        return {name: value for name, value in self.environ.items() if _KEPT.fullmatch(name)} | {
            "HOME": str(self.job / "home"),
            "TMPDIR": str(self.job / "tmp"),
            "PYTHONHASHSEED": "0",
            "UV_CACHE_DIR": str(cache),
            "UV_LINK_MODE": "copy",
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }
