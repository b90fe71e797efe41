from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from repo2docker.app import Repo2Docker
from repo2docker.engine import BuildError
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
        ({"Pipfile": "[packages]\nx = {svn = 'y'}"}, "Pipfile: x (svn)"),
        ({"Pipfile.lock": '{"default": {"x": {"git": "y", "editable": true}}}'}, "Pipfile.lock: x (editable"),
        ({"Pipfile": "", "apt.txt": "gcc"}, "apt.txt"),
        ({"postBuild": "", "install.R": "x"}, "install.R"),
        ({"environment.yml": "dependencies: [numpy]"}, "environment.yml: numpy comes from conda"),
        ({"environment.yaml": "dependencies: [r-base]"}, "environment.yaml: r-base comes from conda"),
        ({"binder/environment.yml": "dependencies: [python=2.7, nodejs]"}, "binder/environment.yml: nodejs comes"),
        ({"environment.yml": "variables: {A: b}"}, "environment.yml: variables"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_honoured_is_refused_by_name(folder: Path, files: dict[str, str], named: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        understood(folder, **files)
    assert str(caught.value).startswith(named)
    assert "honours it" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"requirements.txt": "-e git+https://example.org/x#egg=x"}, "Without -e it works"),
        ({"runtime.txt": "python"}, "Invalid runtime.txt"),
        ({"pyproject.toml": "[project"}, "cannot be read"),
        ({"environment.yml": "dependencies: ["}, "cannot be read"),
        ({"environment.yml": "- a list"}, "cannot be read"),
        ({"Pipfile": "[packages"}, "cannot be read"),
        ({"Pipfile.lock": '{"default": []}'}, "cannot be read"),
        ({"Pipfile.lock": "[" * 100_000}, "cannot be read"),
        ({"binder/start": "", ".binder/start": ""}, "exclusive"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_understood_fails_with_the_reason(folder: Path, files: dict[str, str], reason: str) -> None:
    with pytest.raises((BuildFailed, BuildError), match=re.escape(reason)):
        understood(folder, **files)


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


def test_pip_lines_of_an_environment_are_read_beside_it(folder: Path) -> None:
    repository = understood(folder, **{"binder/environment.yml": "dependencies: [{pip: ['-r more.txt', '-e ../x']}]"})
    assert (repository.place, repository.needs_files, repository.changes_home) == ("binder", True, True)


def test_a_runtime_and_the_scripts_are_noticed(folder: Path) -> None:
    files = {"runtime.txt": "python-3.12", "binder/start": "exec", "binder/runtime.txt": "python-3.11"}
    repository = understood(folder, **files, **{"binder/postBuild": "", "postBuild": ""})
    assert (repository.python, repository.start, repository.post_build) == ("3.11", "binder/start", "binder/postBuild")
    assert repository.changes_home and repository.asks_nothing


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({"pyproject.toml": "[project]\nrequires-python = '>=3.99'"}, ">=3.99"),
        ({"pyproject.toml": "[project]\nrequires-python = '>=3.99'", "runtime.txt": "python-3.11"}, "3.11"),
        ({"pyproject.toml": "[project]\nrequires-python = '>=3.99'", "binder/requirements.txt": ""}, ""),
        ({"Pipfile": "[requires]\npython_version = '3.12'"}, "3.12"),
        ({"Pipfile": "", "Pipfile.lock": '{"_meta": {"requires": {"python_full_version": "3.12.1"}}}'}, "3.12"),
    ],
)
def test_a_python_may_be_named_elsewhere_too(folder: Path, files: dict[str, str], python: str) -> None:
    if "pyproject.toml" in files:
        files = {"requirements.txt": ""} | files
    assert understood(folder, **files).python == python


def test_a_lock_is_taken_rather_than_the_pipfile_and_both_rather_than_requirements(folder: Path) -> None:
    files = {"Pipfile": "[packages]\na = '*'", "requirements.txt": "c"}
    assert understood(folder, **files).names() == {"a"}
    assert understood(folder, **files, **{"Pipfile.lock": '{"default": {"b": {"version": "==1"}}}'}).names() == {"b"}


def test_a_comment_in_apt_txt_asks_for_nothing(folder: Path) -> None:
    assert understood(folder, **{"apt.txt": "# nothing yet\n\n"}).asks_nothing


def test_pins_of_the_repository_win_over_the_range_of_the_base() -> None:
    assert "jupyterlab>=4" in _ranges(set())
    assert {"jupyterlab", "notebook", "jupyterhub>=5"} <= set(_ranges({"jupyterlab"}))
    assert "jupyterhub" in _ranges({"jupyterhub"})
