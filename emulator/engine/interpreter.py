"""Which Python a repository gets."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from emulator.engine.errors import BuildFailed
from emulator.engine.installer import Installer

# The base's lock file holds for these and later.
_OLDEST = (3, 11)
_VERSION = re.compile(r"\d+(\.\d+){0,2}")


@dataclass(frozen=True, slots=True)
class Interpreter:
    path: Path
    version: str

    @property
    def prefix(self) -> Path:
        """The folder that an environment of this interpreter needs on the machine."""
        return self.path.parent.parent


def find(wanted: str, installer: Installer) -> Interpreter:
    """The machine's interpreter for the version (`3.11`) or range (`>=3.11`) that a repository wants; ours when it
    does not say, or ours will do."""
    if not wanted or _fits(platform.python_version(), wanted):
        return Interpreter(Path(sys.executable).resolve(), platform.python_version())
    command = (installer.uv, "python", "find", "--system", "--no-project", wanted)
    try:
        *_, answer = installer.trusted(*command)
    except BuildFailed as error:
        raise BuildFailed(
            f"The repository wants Python {wanted}, which this machine does not have. ({error})"
        ) from error
    return _checked(Path(answer.strip()).resolve(), wanted)


def _fits(version: str, wanted: str) -> bool:
    # uv would take anything else for the name or path of a program, and run it.
    if _VERSION.fullmatch(wanted):
        return f"{version}.".startswith(f"{wanted}.")
    try:
        return SpecifierSet(wanted).contains(version)
    except InvalidSpecifier as error:
        raise BuildFailed(f"The repository wants Python {wanted!r}, which is not a version of Python.") from error


def _checked(path: Path, wanted: str) -> Interpreter:
    ask = [str(path), "-I", "-c", "import platform; print(platform.python_version())"]
    version = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    major, minor = version.split(".")[:2]
    if (int(major), int(minor)) < _OLDEST:
        raise BuildFailed(
            f"The repository wants Python {wanted}, and this builder's JupyterLab needs "
            f"{_OLDEST[0]}.{_OLDEST[1]} or later. A builder with containers (docker, podman or Cloud Build) honours it."
        )
    return Interpreter(path, version)
