"""The real jupyter-repo2docker with the process engine, from a git repository to a running JupyterLab."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from emulator.images import ImageError, PulledImage, Reference, RegistryClient
from emulator.images.kept import kept
from tests.emulator.engine.conftest import Build, Workshop
from tests.fakes.oci_registry import CREDENTIALS
from tests.ports import listens

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
    machines = f"Python {platform.python_version()} (this machine's: the repository does not name a version)"
    assert machines in empty.messages("building")
    assert empty.messages("pushing")[-1].startswith("Pushed ")
    assert empty.messages("failed") == []


def test_the_image_says_what_it_was_built_from(empty: Build, image: PulledImage) -> None:
    assert image.labels["binderless.runtime"] == "process"
    assert image.labels["repo2docker.ref"] == empty.image.rpartition(":")[2]
    assert image.labels["repo2docker.repo"].endswith("/repositories/empty")
    assert (image.home / "index.ipynb").is_file() and (image.home / ".git").is_dir()


def test_an_image_that_is_not_to_be_pushed_is_kept_to_be_pushed_later(
    workshop: Workshop, empty: Build, tmp_path: Path
) -> None:
    built = workshop.build("kept", {"index.ipynb": "{}"}, BINDERLESS_IMAGE_STORE=str(tmp_path))
    assert built.exit_code == 0, built.log
    reference = Reference.parse(built.image)
    manifest = kept(tmp_path, reference)
    assert manifest is not None
    with RegistryClient(reference.registry, CREDENTIALS) as client:
        with pytest.raises(ImageError, match="There is no image"):
            client.manifest(reference)
        client.put_manifest(reference, manifest)
    assert (workshop.pull(built.image).home / "index.ipynb").is_file()


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


@pytest.mark.parametrize("program", ["jupyter-lab", "jupyter-notebook", "jupyterhub-singleuser"])
def test_every_server_that_the_hub_may_start_is_there(image: PulledImage, tmp_path: Path, program: str) -> None:
    command = [*image.entrypoint, program, "--version"]
    done = subprocess.run(command, env=started_in(image, tmp_path), capture_output=True, text=True, check=True)
    assert done.stdout.strip()


def test_a_second_repository_without_requirements_sends_no_environment(workshop: Workshop, empty: Build) -> None:
    sent = len(workshop.registry.uploads)
    second = workshop.build("second", {"other.ipynb": "{}"})
    assert second.exit_code == 0, second.log
    assert "Taking the environment that was built before from the same requirements" in second.messages("building")
    assert len(workshop.registry.uploads) == sent + 2


def test_variables_of_the_operators_appendix_are_in_the_image_and_other_lines_are_refused(
    workshop: Workshop, empty: Build
) -> None:
    built = workshop.build("described", {"index.ipynb": "{}"}, "--appendix=ENV BINDER_URL=https://x.org/v2/gh/a/b/c")
    assert built.exit_code == 0, built.log
    assert workshop.pull(built.image).env["BINDER_URL"] == "https://x.org/v2/gh/a/b/c"
    refused = workshop.build("described-more", {"index.ipynb": "{}"}, "--appendix=ENV A=1\nRUN true")
    assert refused.exit_code == 1
    assert "'RUN true'" in refused.messages("failed")[-1]


@pytest.fixture(scope="module")
def side_by_side(workshop: Workshop, empty: Build) -> tuple[Build, Build]:
    """Two repositories built at once over one cache of packages and one registry."""
    first = {"requirements.txt": f"{PACKAGE}\n"}
    lock = {"default": {"toolz": {"version": "==1.0.0"}}, "develop": {"iniconfig": {"version": "==2.1.0"}}}
    second = {
        "Pipfile.lock": json.dumps(lock),
        "Pipfile": "[packages]\nno-such-package = '*'\n",
        "README.md": "# Other\n",
    }
    with ThreadPoolExecutor() as people:
        one, other = people.submit(workshop.build, "one", first), people.submit(workshop.build, "other", second)
        return one.result(), other.result()


def test_builds_at_the_same_time_do_not_disturb_each_other(side_by_side: tuple[Build, Build], empty: Build) -> None:
    one, other = side_by_side
    assert (one.exit_code, other.exit_code) == (0, 0), (one.log, other.log)
    assert f"+ {PACKAGE}" in one.messages("building") and "+ toolz==1.0.0" not in one.messages("building")
    assert {f"+ {PACKAGE}", "+ toolz==1.0.0"} <= set(other.messages("building"))


def test_requirements_are_installed_on_top_of_the_base(
    workshop: Workshop, image: PulledImage, side_by_side: tuple[Build, Build]
) -> None:
    small = workshop.pull(side_by_side[0].image)
    assert small.environment != image.environment and small.environment is not None
    ask = [str(small.environment / "bin" / "python"), "-c", "import iniconfig, jupyterlab; print(iniconfig.__file__)"]
    done = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(small.environment))


SETUP = """\
import os, setuptools
open("found.py", "w").write(repr(dict(os.environ)))
setuptools.setup(name="mine", version="1", py_modules=["found", "mine"],
                 entry_points={"console_scripts": ["mine = mine:main"]})
"""
POST_BUILD = """\
#!/bin/bash
set -e
mine
pwd > where.txt
python -m ipykernel install --sys-prefix --name other >/dev/null
ln -s "$PWD/where.txt" link.txt
env > seen.txt
! touch /usr/left-behind 2>/dev/null || echo "wrote to the machine"
"""


@pytest.fixture(scope="module")
def built_with_files(workshop: Workshop, empty: Build) -> Build:
    """Its own package, editable, from an environment.yml in a binder folder, with a postBuild that uses it."""
    environment = "dependencies: [python=3, {pip: ['-r more.txt', '-e ..']}]"
    files = {"binder/environment.yml": environment, "binder/more.txt": PACKAGE, "binder/postBuild": POST_BUILD}
    return workshop.build("files", {**files, "setup.py": SETUP, "mine.py": "def main(): print('mine is here')\n"})


def test_a_post_build_runs_in_home_with_what_was_installed(workshop: Workshop, built_with_files: Build) -> None:
    assert built_with_files.exit_code == 0, built_with_files.log
    said = built_with_files.messages("building")
    assert "mine is here" in said and f"+ {PACKAGE}" in said and "wrote to the machine" not in said
    home = workshop.pull(built_with_files.image).home
    assert (home / "link.txt").is_symlink() and (home / "link.txt").read_text() == "/home/jovyan\n"
    assert (home / "binder" / "postBuild").stat().st_mode & 0o100


def test_neither_build_scripts_nor_a_post_build_see_a_secret(workshop: Workshop, built_with_files: Build) -> None:
    home = workshop.pull(built_with_files.image).home
    for name in ("found.py", "seen.txt"):
        text = (home / name).read_text()
        assert "PATH" in text and "CREDENTIALS" not in text and "secret" not in text


def test_what_a_post_build_does_to_its_environment_stays_in_its_image(
    workshop: Workshop, built_with_files: Build, image: PulledImage
) -> None:
    environment = workshop.pull(built_with_files.image).environment
    assert environment is not None and image.environment is not None
    kernel = json.loads((environment / "share/jupyter/kernels/other/kernel.json").read_text())
    assert kernel["argv"][0] == f"{environment}/bin/python"
    assert not (image.environment / "share/jupyter/kernels/other").exists()


def test_a_post_build_that_leaves_the_environment_alone_shares_it(workshop: Workshop, image: PulledImage) -> None:
    sent = len(workshop.registry.uploads)
    built = workshop.build("data", {"postBuild": "#!/bin/sh\necho 1,2 > data.csv\n"})
    assert built.exit_code == 0, built.log
    pulled = workshop.pull(built.image)
    assert pulled.environment == image.environment and (pulled.home / "data.csv").read_text() == "1,2\n"
    assert len(workshop.registry.uploads) == sent + 2


def test_an_editable_package_is_the_one_in_home(workshop: Workshop, built_with_files: Build) -> None:
    environment = workshop.pull(built_with_files.image).environment
    assert environment is not None
    assert (environment / "bin" / "mine").is_file()
    [finder] = environment.glob("lib/python*/site-packages/__editable__*mine*.py")
    assert "'/home/jovyan/mine.py'" in finder.read_text() or "'/home/jovyan/mine'" in finder.read_text()


def test_a_build_that_is_cancelled_leaves_nothing(workshop: Workshop, empty: Build) -> None:
    files = {"postBuild": "#!/bin/sh\necho begun\nsleep 123456\n"}
    with workshop.started("cancelled", files) as (image, process):
        assert process.stdout is not None
        assert any(b"begun" in line for line in process.stdout)
        process.terminate()
        process.stdout.read()
    assert process.returncode == 143
    assert not list(workshop.folder.glob("binderless-*")) and not list(workshop.folder.glob("repo2docker*"))
    assert image.rpartition(":")[0].partition("/")[2] not in {repository for repository, _ in workshop.registry.blobs}


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("nowhere", {"requirements.txt": "numpy==999.0\n"}, "there is no version of numpy==999.0"),
        ("editable", {"requirements.txt": "-e /usr/lib\n"}, "/usr/lib"),
        ("script", {"postBuild": "#!/bin/sh\necho 'no such data' >&2\nexit 3\n"}, "postBuild failed: no such data"),
        ("old", {"runtime.txt": "python-3.2"}, "Python 3.2, which this machine does not have"),
        ("docker", {"Dockerfile": "FROM scratch"}, "Dockerfile: This builder has no container engine."),
        ("both", {"binder/start": "", ".binder/start": ""}, "both a 'binder' and a '.binder'"),
    ],
)
def test_what_cannot_be_built_fails_with_the_reason(
    workshop: Workshop, empty: Build, name: str, files: dict[str, str], reason: str
) -> None:
    built = workshop.build(name, files)
    assert built.exit_code == 1
    assert reason in built.messages("failed")[-1]
    assert ("binder/" + name) not in {repository for repository, _ in workshop.registry.manifests}


def test_a_build_that_uses_too_much_disk_is_stopped(workshop: Workshop, empty: Build) -> None:
    files = {"postBuild": "#!/bin/sh\nhead -c 900000000 /dev/zero > big\n"}
    built = workshop.build("large", files, BINDERLESS_BUILD_DISK_GIB="1")
    assert built.exit_code == 1
    assert "more than 1 GiB" in built.messages("failed")[-1]


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
                url = str(json.loads(text)["url"])
                parts = urlsplit(url)
                # The file is there a moment before anybody listens.
                if listens(str(parts.hostname), int(parts.port or 80)):
                    return url
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
