"""What a repository asks for, read through the build pack that repo2docker picked for it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repo2docker.utils import is_local_pip_requirement

from emulator.engine.errors import BuildFailed

_ELSEWHERE = "A builder with containers (docker, podman or Cloud Build) honours it."
_NOT_YET = f"This builder, which has no container engine, does not honour it yet. {_ELSEWHERE}"
_NO_ENGINE = f"This builder has no container engine. {_ELSEWHERE}"
_ONLY_PYTHON = f"This builder makes Python environments only. {_ELSEWHERE}"

# https://repo2docker.readthedocs.io/en/latest/configuration/
_REFUSED_PACKS: dict[str, tuple[tuple[str, ...], str]] = {
    "LegacyBinderDockerBuildPack": (("Dockerfile",), _NO_ENGINE),
    "DockerBuildPack": (("Dockerfile",), _NO_ENGINE),
    "JuliaProjectTomlBuildPack": (("JuliaProject.toml", "Project.toml"), _ONLY_PYTHON),
    "JuliaRequireBuildPack": (("REQUIRE",), _ONLY_PYTHON),
    "NixBuildPack": (("default.nix",), _ONLY_PYTHON),
    "RBuildPack": (("install.R", "DESCRIPTION", "runtime.txt"), _ONLY_PYTHON),
    "PipfileBuildPack": (("Pipfile.lock", "Pipfile"), _NOT_YET),
}
_REFUSED_FILES = {
    "apt.txt": "This builder cannot install system packages. " + _ELSEWHERE,
    "install.R": _ONLY_PYTHON,
    "postBuild": _NOT_YET,
}
_CONDA_DEPENDENCY = re.compile(r"(?:[\w.-]+::)?(python|pip)\s*((?:[=<>!~].*)?)")
_REQUIREMENT_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """`python` is a version or empty (any), `requirements` are lines of a requirements.txt, which *file* holds, if any.

    `package`: the repository itself is to be installed. `start` is the path of its start script.
    """

    folder: Path
    python: str = ""
    requirements: tuple[str, ...] = ()
    file: str = ""
    package: bool = False
    start: str = ""

    @property
    def needs_files(self) -> bool:
        """Whether other files of the repository take part in the installation."""
        return self.package or any(is_local_pip_requirement(line) for line in self.requirements)

    @property
    def asks_nothing(self) -> bool:
        return not self.package and not any(line.partition("#")[0].strip() for line in self.requirements)

    def names(self) -> set[str]:
        """The packages that the repository asks for directly, by their normalized names."""
        found = (_REQUIREMENT_NAME.match(line) for line in self.requirements)
        return {re.sub(r"[-_.]+", "-", match[1]).lower() for match in found if match}


def read(pack: Any, folder: Path) -> Repository:
    """Read the repository in *folder*, which is the working folder. BuildFailed names what cannot be honoured."""
    for kind in type(pack).__mro__:
        if kind.__name__ in _REFUSED_PACKS:
            raise BuildFailed(_refusal(pack, folder, *_REFUSED_PACKS[kind.__name__]))
    for name, reason in _REFUSED_FILES.items():
        path = pack.binder_path(name)
        if (folder / path).is_file() and _says_something(folder / path):
            raise BuildFailed(f"{path}: {reason}")
    start = pack.binder_path("start")
    start = start if (folder / start).exists() else ""
    kinds = {kind.__name__ for kind in type(pack).__mro__}
    if "PythonBuildPack" in kinds:
        return _of_requirements(pack, folder, start)
    if "CondaBuildPack" in kinds:
        return _of_environment(pack, folder, start)
    raise BuildFailed(f"{type(pack).__name__}: {_NOT_YET}")


def _refusal(pack: Any, folder: Path, files: Sequence[str], reason: str) -> str:
    paths = [pack.binder_path(name) for name in files]
    return f"{next((path for path in paths if (folder / path).exists()), files[0])}: {reason}"


def _says_something(path: Path) -> bool:
    with path.open("rb") as file:
        return any(line.partition(b"#")[0].strip() for line in file if not line.startswith(b"#!"))


def _of_requirements(pack: Any, folder: Path, start: str) -> Repository:
    file = pack.binder_path("requirements.txt")
    lines = tuple(_text(folder / file).splitlines()) if (folder / file).is_file() else ()
    return Repository(
        folder=folder,
        python=pack.runtime[1] or "",
        requirements=lines,
        file=file if lines else "",
        package=bool(pack._is_python_package()),
        start=start,
    )


def _text(path: Path) -> str:
    """The text of a requirements file, which pip reads in these encodings too."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


def _of_environment(pack: Any, folder: Path, start: str) -> Repository:
    where, document = pack.environment_yaml_path, pack.environment_yaml
    if document.get("variables"):
        raise BuildFailed(f"{where}: variables. {_NOT_YET}")
    python, requirements = "", list[str]()
    for dependency in document.get("dependencies") or ():
        if isinstance(dependency, dict) and set(dependency) == {"pip"}:
            requirements += _pip_lines(where, dependency["pip"] or ())
            continue
        match = _CONDA_DEPENDENCY.fullmatch(str(dependency).strip())
        if not match:
            raise BuildFailed(
                f"{where}: {dependency} comes from conda. This builder has Python and pip only. {_ELSEWHERE}"
            )
        if match[1] == "python":
            python = _version(match[2])
        elif match[2]:
            requirements.append(f"pip{_specifier(match[2])}")
    return Repository(folder=folder, python=python, requirements=tuple(requirements), start=start)


def _pip_lines(where: str, lines: Sequence[Any]) -> Iterator[str]:
    for line in lines:
        if is_local_pip_requirement(str(line)):
            raise BuildFailed(f"{where}: {line}. {_NOT_YET}")
        yield str(line)


def _specifier(conda: str) -> str:
    """A version in pip's words: conda's single `=` means "starts with"."""
    conda = conda.replace(" ", "")
    exact = re.fullmatch(r"=([\d.]+?)(?:\.\*)?(?:=.*)?", conda)
    return f"=={exact[1]}.*" if exact else conda


def _version(conda: str) -> str:
    """The version of Python as uv reads it: `3.11` (any such), or a specifier."""
    exact = re.fullmatch(r"==?([\d.]+?)(?:\.\*)?(?:=.*)?", conda.replace(" ", ""))
    return exact[1] if exact else conda.replace(" ", "")
