"""What a repository asks for, read through the build pack that repo2docker picked for it."""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repo2docker.utils import is_local_pip_requirement
from ruamel.yaml.error import YAMLError

from emulator.engine import pipfile
from emulator.engine.errors import BuildFailed

_ELSEWHERE = "A builder with containers (docker, podman or Cloud Build) honours it."
_NOT_HERE = f"This builder, which has no container engine, does not honour it. {_ELSEWHERE}"
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
}
_REFUSED_FILES = {
    "apt.txt": "This builder cannot install system packages. " + _ELSEWHERE,
    "install.R": _ONLY_PYTHON,
}
_CONDA_DEPENDENCY = re.compile(r"(?:[\w.-]+::)?(python|pip)\s*((?:[=<>!~].*)?)")
_REQUIREMENT_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EDITABLE = re.compile(r"\s*(?:-e|--editable)[\s=]+(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """`python` is a version, a range, or empty (any). `requirements` are lines of a requirements.txt, which is *file*
    of the repository, if any, and is installed in *place*, a folder of the repository.

    `package`: the repository itself is to be installed. `post_build` and `start` are the paths of its scripts.
    """

    folder: Path
    python: str = ""
    requirements: tuple[str, ...] = ()
    file: str = ""
    place: str = ""
    package: bool = False
    post_build: str = ""
    start: str = ""

    @property
    def needs_files(self) -> bool:
        """Whether other files of the repository take part in the installation."""
        return self.package or any(is_local_pip_requirement(line) for line in self.requirements)

    @property
    def asks_nothing(self) -> bool:
        """Whether the base is all that is to be installed."""
        return not self.package and not any(line.partition("#")[0].strip() for line in self.requirements)

    @property
    def changes_home(self) -> bool:
        """Whether something of the repository runs in the home folder while it is built."""
        return self.needs_files or bool(self.post_build)

    def names(self) -> set[str]:
        """The packages that the repository asks for directly, by their normalized names."""
        found = (_REQUIREMENT_NAME.match(line) for line in self.requirements)
        return {re.sub(r"[-_.]+", "-", match[1]).lower() for match in found if match}


def read(pack: Any, folder: Path) -> Repository:
    """Read the repository in *folder*, which is the working folder. BuildFailed names what cannot be honoured."""
    try:
        return _read(pack, folder)
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, RuntimeError, OSError) as error:
        raise BuildFailed(f"The repository's configuration cannot be read: {error}") from error


def _read(pack: Any, folder: Path) -> Repository:
    kinds = {kind.__name__ for kind in type(pack).__mro__}
    for name in kinds & _REFUSED_PACKS.keys():
        raise BuildFailed(_refusal(pack, folder, *_REFUSED_PACKS[name]))
    for name, reason in _REFUSED_FILES.items():
        path = pack.binder_path(name)
        if (folder / path).is_file() and _says_something(folder / path):
            raise BuildFailed(f"{path}: {reason}")
    for name, understand in _PACKS.items():
        if name in kinds:
            found = understand(pack, folder)
            _refuse_foreign_editables(found)
            return replace(found, post_build=_script(pack, folder, "postBuild"), start=_script(pack, folder, "start"))
    raise BuildFailed(f"{type(pack).__name__}: {_NOT_HERE}")


def _refusal(pack: Any, folder: Path, files: Sequence[str], reason: str) -> str:
    paths = [pack.binder_path(name) for name in files]
    return f"{next((path for path in paths if (folder / path).exists()), files[0])}: {reason}"


def _says_something(path: Path) -> bool:
    with path.open("rb") as file:
        return any(line.partition(b"#")[0].strip() for line in file)


def _script(pack: Any, folder: Path, name: str) -> str:
    path: str = pack.binder_path(name)
    return path if (folder / path).exists() else ""


def _refuse_foreign_editables(repository: Repository) -> None:
    for line in repository.requirements:
        match = _EDITABLE.match(line)
        if match and "://" in match[1] and not match[1].startswith("file:"):
            raise BuildFailed(f"{line.strip()}: -e is for folders of the repository here. Without -e it works.")


def _of_requirements(pack: Any, folder: Path) -> Repository:
    file = pack.binder_path("requirements.txt")
    lines = tuple(_text(folder / file).splitlines()) if (folder / file).is_file() else ()
    package = bool(pack._is_python_package())
    return Repository(
        folder=folder,
        python=pack.runtime[1] or _required_python(pack, folder),
        requirements=lines,
        file=file if lines else "",
        package=package,
    )


def _required_python(pack: Any, folder: Path) -> str:
    """`requires-python` of a pyproject.toml, which repo2docker looks at where there is no binder folder."""
    file = folder / "pyproject.toml"
    if pack.binder_dir or not file.is_file():
        return ""
    return str(tomllib.loads(file.read_text()).get("project", {}).get("requires-python", ""))


def _text(path: Path) -> str:
    """The text of a requirements file, which pip reads in these encodings too."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


def _of_pipfile(pack: Any, folder: Path) -> Repository:
    lock, plain = (folder / pack.binder_path(name) for name in ("Pipfile.lock", "Pipfile"))
    return Repository(
        folder=folder,
        python=pipfile.python_of(lock, plain),
        requirements=pipfile.requirements_of(lock if lock.is_file() else plain),
        place=pack.binder_dir,
    )


def _of_environment(pack: Any, folder: Path) -> Repository:
    where, document = pack.environment_yaml_path, pack.environment_yaml
    if document.get("variables"):
        raise BuildFailed(f"{where}: variables. {_NOT_HERE}")
    python, requirements = "", list[str]()
    for dependency in document.get("dependencies") or ():
        if isinstance(dependency, dict) and set(dependency) == {"pip"}:
            requirements += [str(line) for line in dependency["pip"] or ()]
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
    # conda lets pip read the lines from a file beside its own.
    place = pack.binder_dir
    return Repository(folder=folder, python=python, requirements=tuple(requirements), place=place)


def _specifier(conda: str) -> str:
    """A version in pip's words: conda's single `=` means "starts with"."""
    conda = conda.replace(" ", "")
    exact = re.fullmatch(r"=([\d.]+?)(?:\.\*)?(?:=.*)?", conda)
    return f"=={exact[1]}.*" if exact else conda


def _version(conda: str) -> str:
    """The version of Python as uv reads it: `3.11` (any such), or a specifier."""
    exact = re.fullmatch(r"==?([\d.]+?)(?:\.\*)?(?:=.*)?", conda.replace(" ", ""))
    return exact[1] if exact else conda.replace(" ", "")


_PACKS: Mapping[str, Callable[[Any, Path], Repository]] = {
    "PipfileBuildPack": _of_pipfile,
    "PythonBuildPack": _of_requirements,
    "CondaBuildPack": _of_environment,
}
