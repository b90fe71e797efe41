from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from repo2docker.app import Repo2Docker
from repo2docker.utils import chdir

from emulator.engine.environment import _ranges
from emulator.engine.errors import BuildFailed
from emulator.engine.process_engine import ProcessEngine
from emulator.engine.repository import Repository, read


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with chdir(tmp_path):
        yield tmp_path


def understood(folder: Path, **files: str) -> Repository:
    """Read a repository with these files, through the build pack that repo2docker picks."""
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return read(ProcessEngine(parent=Repo2Docker())._detect(), folder)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"Dockerfile": "FROM x"}, "Dockerfile"),
        ({"binder/Dockerfile": "FROM x"}, "binder/Dockerfile"),
        ({"apt.txt": "gcc"}, "apt.txt"),
        ({".binder/apt.txt": "gcc", "requirements.txt": ""}, ".binder/apt.txt"),
        ({"runtime.txt": "r-4.1-2023-01-01"}, "runtime.txt"),
        ({"install.R": "x", "runtime.txt": "r-4.1-2023-01-01"}, "install.R"),
        ({"install.R": "install.packages('x')"}, "install.R"),
        ({"DESCRIPTION": "Package: x"}, "DESCRIPTION"),
        ({"REQUIRE": "IJulia"}, "REQUIRE"),
        ({"Project.toml": ""}, "Project.toml"),
        ({"JuliaProject.toml": ""}, "JuliaProject.toml"),
        ({"default.nix": ""}, "default.nix"),
        ({"Pipfile": ""}, "Pipfile"),
        ({"Pipfile.lock": "{}"}, "Pipfile.lock"),
        ({"postBuild": "echo hello"}, "postBuild"),
        ({"environment.yml": "dependencies: [numpy]"}, "environment.yml: numpy comes from conda"),
        ({"environment.yml": "dependencies: [{pip: ['-e .']}]"}, "environment.yml: -e ."),
        ({"environment.yml": "variables: {A: b}"}, "environment.yml: variables"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_honoured_is_refused_by_name(folder: Path, files: dict[str, str], named: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        understood(folder, **files)
    assert str(caught.value).startswith(named)
    assert "honours it" in str(caught.value)


def test_an_empty_repository_asks_for_nothing(folder: Path) -> None:
    assert understood(folder) == Repository(folder=folder)


@pytest.mark.parametrize("name", ["requirements.txt", "binder/requirements.txt", ".binder/requirements.txt"])
def test_requirements_are_found_where_repo2docker_finds_them(folder: Path, name: str) -> None:
    repository = understood(folder, **{name: "numpy==2.0\n# a comment\n"})
    assert (repository.file, repository.names(), repository.needs_files) == (name, {"numpy"}, False)


def test_requirements_in_the_encoding_of_windows_are_read(folder: Path) -> None:
    (folder / "requirements.txt").write_bytes("numpy==2.0\r\n".encode("utf-16"))
    assert understood(folder).names() == {"numpy"}


@pytest.mark.parametrize("line", ["-r more.txt", ".", "./wheels/x.whl", "-c constraints.txt", "-e ."])
def test_requirements_that_name_files_need_the_repository(folder: Path, line: str) -> None:
    assert understood(folder, **{"requirements.txt": f"{line}\n"}).needs_files


@pytest.mark.parametrize(
    "files", [{"setup.py": ""}, {"pyproject.toml": "[project]\nname = 'x'\n[build-system]\nrequires = []\n"}]
)
def test_a_package_is_to_be_installed(folder: Path, files: dict[str, str]) -> None:
    assert understood(folder, **files).package


def test_a_pyproject_that_configures_tools_only_is_no_package(folder: Path) -> None:
    assert understood(folder, **{"pyproject.toml": "[tool.ruff]\n"}).asks_nothing


@pytest.mark.parametrize(
    ("dependency", "python", "requirements"),
    [
        ("python=3.11", "3.11", ()),
        ("python==3.12.1", "3.12.1", ()),
        ("'python>=3.11'", ">=3.11", ()),
        ("conda-forge::python=3.12.*", "3.12", ()),
        ("pip", "", ()),
        ("pip=25.0", "", ("pip==25.0.*",)),
        ("{pip: [tqdm, 'six==1.0']}", "", ("tqdm", "six==1.0")),
    ],
)
def test_an_environment_of_python_and_pip_is_honoured(
    folder: Path, dependency: str, python: str, requirements: tuple[str, ...]
) -> None:
    repository = understood(folder, **{"environment.yml": f"dependencies: [{dependency}]"})
    assert (repository.python, repository.requirements) == (python, requirements)


def test_a_runtime_and_a_start_script_are_noticed(folder: Path) -> None:
    repository = understood(
        folder, **{"runtime.txt": "python-3.12", "binder/start": "exec", "binder/runtime.txt": "python-3.11"}
    )
    assert (repository.python, repository.start) == ("3.11", "binder/start")


def test_a_comment_in_apt_txt_asks_for_nothing(folder: Path) -> None:
    assert understood(folder, **{"apt.txt": "# nothing yet\n\n"}).asks_nothing


def test_pins_of_the_repository_win_over_the_range_of_the_base() -> None:
    assert "jupyterlab>=4" in _ranges(set())
    assert {"jupyterlab", "notebook", "jupyterhub>=5"} <= set(_ranges({"jupyterlab"}))
    assert "jupyterhub" in _ranges({"jupyterhub"})
