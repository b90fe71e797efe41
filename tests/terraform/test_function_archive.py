"""The source archive of the functions, unpacked alone, installed from its own requirements and started as Google would.

https://cloud.google.com/run/docs/write-functions#function-source says what has to be in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3
import yaml

from tests.ports import free_port, listens

ROOT = Path(__file__).parents[2]
SOURCE = yaml.safe_load((ROOT / "terraform" / "source.yaml").read_text())
PYTHON = "{}.{}".format(SOURCE["runtime"].removeprefix("python")[0], SOURCE["runtime"].removeprefix("python")[1:])
# Written here as the configuration of a deployment; what is secret comes by the environment.
CONFIG = """\
hub:
  url: https://servers.example.org/
  api_url: http://127.0.0.1:9/hub/api
registry:
  url: https://europe-docker.pkg.dev
  image_prefix: europe-docker.pkg.dev/example-project/binder/binder-
webhooks:
  repositories: ["gh/example/*"]
"""
SECRETS = {
    "BINDERLESS_HUB__TOKEN": "only-for-this-test",
    "BINDERLESS_LAUNCHES__SECRET": "only-for-this-test-0123456789abcdef",
    "BINDERLESS_WEBHOOKS__GITHUB_SECRETS": "only-for-this-test",
}


def in_archive() -> list[str]:
    """What the archive holds, as Terraform finds it."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    return [name for name in tracked if name.partition("/")[0] in SOURCE["files"]]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "source.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in in_archive():
            packed.write(ROOT / name, name)
        packed.writestr("config.yaml", CONFIG)
    return path


@pytest.fixture(scope="session")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def python(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of the runtime's version that has what requirements.txt asks for, and nothing else."""
    here = "{}.{}".format(*sys.version_info)
    base = sys.executable if here == PYTHON else shutil.which(f"python{PYTHON}")
    if base is None:
        pytest.skip(f"needs Python {PYTHON}, the functions' runtime")
    venv = tmp_path_factory.mktemp("venv") / "venv"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", base, str(venv)], check=True)
    install = [*uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(venv / "bin" / "python")]
    subprocess.run([*install, "-r", str(unpacked / "requirements.txt")], check=True)
    return venv / "bin" / "python"


@contextmanager
def serving(entry_point: str, unpacked: Path, python: Path, state: Path) -> Iterator[str]:
    """The address of *entry_point* under the functions framework, in an environment as Google makes it."""
    port = free_port()
    google = {"FUNCTION_TARGET": entry_point, "PORT": str(port), "PATH": os.defpath, "HOME": str(state), "THREADS": "8"}
    environ = {**google, **SECRETS, "BINDERLESS_STORE__PATH": str(state / "store.sqlite")}
    with (state / "log").open("wb") as log:
        command = [str(python.with_name("functions-framework")), "--host", "127.0.0.1"]
        process = subprocess.Popen(command, cwd=unpacked, env=environ, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not listens("127.0.0.1", port):
                assert process.poll() is None and time.monotonic() < deadline, (state / "log").read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.parametrize(
    ("entry_point", "method", "path", "status"),
    [
        ("pages", "GET", "/", 200),
        ("pages", "GET", "/badge_logo.svg", 200),
        ("build", "GET", "/versions", 200),
        ("on_build_complete", "POST", "/", 401),
        ("cull", "POST", "/", 401),
        ("webhook", "POST", "/webhooks/github", 401),
    ],
)
def test_each_entry_point_starts_and_answers(
    entry_point: str, method: str, path: str, status: int, unpacked: Path, python: Path, tmp_path: Path
) -> None:
    with serving(entry_point, unpacked, python, tmp_path) as url, urllib3.PoolManager() as http:
        answer = http.request(method, url + path, body=b"{}" if method == "POST" else None, retries=False)
        assert answer.status == status, (answer.data, (tmp_path / "log").read_text())


def test_the_archive_holds_what_runs_and_nothing_else() -> None:
    folders = {name.partition("/")[0] for name in in_archive()}
    assert folders == {"main.py", "requirements.txt", "functions"}
    assert not [name for name in in_archive() if "test" in Path(name).name or name.endswith((".md", ".pyc"))]


def test_every_file_of_the_archive_compiles_with_the_runtime(unpacked: Path, python: Path) -> None:
    # Google compiles all of it; one syntax error ends the deployment.
    subprocess.run([python, "-m", "compileall", "-q", unpacked / "functions", unpacked / "main.py"], check=True)


def test_the_runtime_names_a_version_that_the_project_is_checked_with() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert f'requires-python = ">={PYTHON}"' in pyproject or f'python_version = "{PYTHON}"' in pyproject
