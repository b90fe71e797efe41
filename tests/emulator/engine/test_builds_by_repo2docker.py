"""The real jupyter-repo2docker with the process engine, from a git repository to a running JupyterLab."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from emulator.images import PulledImage
from tests.emulator.engine.conftest import Build, Workshop

# The first build installs and compiles a whole JupyterLab.
pytestmark = pytest.mark.timeout(400)

PACKAGE = "iniconfig==2.1.0"


@pytest.fixture(scope="module")
def empty(workshop: Workshop) -> Build:
    return workshop.build("empty", {"index.ipynb": "{}", "start": '#!/bin/sh\nSTARTED=yes exec "$@"\n'})


@pytest.fixture(scope="module")
def image(workshop: Workshop, empty: Build) -> PulledImage:
    assert empty.exit_code == 0, empty.log
    return workshop.pull(empty.image)


def test_a_repository_without_configuration_is_built_and_pushed(empty: Build) -> None:
    assert empty.exit_code == 0, empty.log
    assert any(line.startswith("Python 3.") for line in empty.messages("building"))
    assert empty.messages("pushing")[-1].startswith("Pushed ")
    assert empty.messages("failed") == []


def test_the_image_says_what_it_was_built_from(empty: Build, image: PulledImage) -> None:
    assert image.labels["binderless.runtime"] == "process"
    assert image.labels["repo2docker.ref"] == empty.image.rpartition(":")[2]
    assert image.labels["repo2docker.repo"].endswith("/repositories/empty")
    assert (image.home / "index.ipynb").is_file() and (image.home / ".git").is_dir()


def test_no_log_line_holds_the_credentials(empty: Build) -> None:
    assert not any("secret" in message for _, message in empty.log)


def test_jupyterlab_starts_from_the_restored_folder_and_a_kernel_answers(image: PulledImage, tmp_path: Path) -> None:
    with jupyterlab(image, tmp_path) as url:
        with urllib.request.urlopen(f"{url}lab?token=t", timeout=20) as page:
            assert b"jupyter-config-data" in page.read()
        answer = asyncio.run(executed(url, "import sys; print(sys.prefix)"))
    assert answer.strip() == str(image.environment)


def test_what_is_started_goes_through_the_start_script(image: PulledImage, tmp_path: Path) -> None:
    environment = started_in(image, tmp_path)
    done = subprocess.run([*image.entrypoint, "env"], env=environment, capture_output=True, text=True, check=True)
    assert "STARTED=yes" in done.stdout


def test_the_single_user_server_of_the_hub_is_there(image: PulledImage, tmp_path: Path) -> None:
    command = [*image.entrypoint, "jupyterhub-singleuser", "--version"]
    done = subprocess.run(command, env=started_in(image, tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout.strip()


def test_a_second_repository_without_requirements_sends_no_environment(workshop: Workshop, empty: Build) -> None:
    sent = len(workshop.registry.uploads)
    second = workshop.build("second", {"other.ipynb": "{}"})
    assert second.exit_code == 0, second.log
    assert "Taking the environment that was built before from the same requirements" in second.messages("building")
    assert len(workshop.registry.uploads) == sent + 2


def test_requirements_are_installed_on_top_of_the_base(workshop: Workshop, image: PulledImage) -> None:
    built = workshop.build("small", {"requirements.txt": f"{PACKAGE}\n"})
    assert built.exit_code == 0, built.log
    assert f"+ {PACKAGE}" in built.messages("building")
    small = workshop.pull(built.image)
    assert small.environment != image.environment and small.environment is not None
    ask = [str(small.environment / "bin" / "python"), "-c", "import iniconfig, jupyterlab; print(iniconfig.__file__)"]
    done = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(small.environment))


def test_the_repositorys_own_package_is_installed_and_its_build_script_sees_no_secret(
    workshop: Workshop, empty: Build
) -> None:
    setup = "import os, setuptools\nopen('found.py', 'w').write(repr(dict(os.environ)))\n"
    setup += "setuptools.setup(name='mine', version='1', py_modules=['found'])\n"
    built = workshop.build("package", {"setup.py": setup})
    assert built.exit_code == 0, built.log
    package = workshop.pull(built.image)
    assert package.environment is not None
    [found] = package.environment.glob("lib/python*/site-packages/found.py")
    assert "CONTAINER_ENGINE_REGISTRY_CREDENTIALS" not in found.read_text()
    assert "secret" not in found.read_text()


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("nowhere", {"requirements.txt": "numpy==999.0\n"}, "there is no version of numpy==999.0"),
        ("unreadable", {"requirements.txt": "numpy ==\n"}, "Couldn't parse requirement"),
        (
            "editable",
            {"requirements.txt": "-e .\n", "setup.py": "from setuptools import setup\nsetup(name='e')\n"},
            "-e",
        ),
        ("conflict", {"requirements.txt": "jupyterlab==4.6.6\nnotebook==6.0.0\ntornado==5.0\n"}, "No solution found"),
        ("old", {"runtime.txt": "python-3.2"}, "Python 3.2, which this machine does not have"),
        ("docker", {"Dockerfile": "FROM scratch"}, "Dockerfile: This builder has no container engine."),
        ("r", {"runtime.txt": "r-4.1-2023-01-01"}, "runtime.txt: This builder makes Python environments only."),
        ("julia", {"Project.toml": ""}, "Project.toml: This builder makes Python environments only."),
    ],
)
def test_what_cannot_be_built_fails_with_the_reason(
    workshop: Workshop, empty: Build, name: str, files: dict[str, str], reason: str
) -> None:
    built = workshop.build(name, files)
    assert built.exit_code == 1
    assert reason in built.messages("failed")[-1]
    assert ("binder/" + name) not in {repository for repository, _ in workshop.registry.manifests}


def test_the_environment_is_restored_from_the_image_when_it_was_deleted(workshop: Workshop, image: PulledImage) -> None:
    assert image.environment is not None
    shutil.rmtree(image.environment)
    reference = f"{image.reference.partition('/')[0]}/binder/empty@{image.digest}"
    assert workshop.pull(reference).environment == image.environment
    assert (image.environment / "bin" / "jupyter-lab").is_file()


def started_in(image: PulledImage, folder: Path) -> dict[str, str]:
    """The environment of the image with its home copied to *folder*, as a kubelet without sandbox would give it."""
    home = folder / "home"
    shutil.copytree(image.home, home, symlinks=True)
    return {name: value.replace("/home/jovyan", str(home)) for name, value in image.env.items()}


@contextmanager
def jupyterlab(image: PulledImage, folder: Path) -> Iterator[str]:
    """Start JupyterLab on a free port; its address."""
    environment = started_in(image, folder) | {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    options = ["--ip=127.0.0.1", "--port=0", "--no-browser", "--allow-root", "--IdentityProvider.token=t"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*image.entrypoint, "jupyter-lab", *options],
            env=environment,
            cwd=environment["HOME"],
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:
            yield address(folder, server)
        finally:
            server.terminate()


def address(folder: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        for path in (folder / "runtime").glob("jpserver-*.json"):
            if text := path.read_text():
                return str(json.loads(text)["url"])
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())


async def executed(url: str, code: str) -> str:
    """What a new kernel of the server prints for *code*."""
    headers = {"Authorization": "token t"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    header = {
        "msg_id": "1",
        "msg_type": "execute_request",
        "username": "",
        "session": "s",
        "date": "",
        "version": "5.3",
    }
    request: dict[str, Any] = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        async with session.post("api/kernels", json={"name": "python3"}) as response:
            kernel = (await response.json())["id"]
        async with asyncio.timeout(60), session.ws_connect(f"api/kernels/{kernel}/channels") as socket:
            await socket.send_json(request | {"channel": "shell"})
            async for message in socket:
                reply = json.loads(message.data)
                if reply["msg_type"] == "stream":
                    return str(reply["content"]["text"])
    raise AssertionError("the kernel said nothing")
