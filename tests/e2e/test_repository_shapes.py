"""Repositories of different shapes, each launched as anyone would: what it asks for is there in a running kernel."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from emulator.kernels import execute
from tests.e2e.stack import Event, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

SETUP = "from setuptools import setup\nsetup(name='mine', version='1', py_modules=['mine'])\n"
PYPROJECT = """\
[project]
name = "mine"
version = "1"
requires-python = ">=3.11"
dependencies = ["six==1.17.0"]
[build-system]
requires = ["setuptools"]
[tool.setuptools]
py-modules = ["mine"]
"""
MINE = "x = 1\n"
POST_BUILD = """\
#!/bin/bash
set -e
python -m ipykernel install --sys-prefix --name made-by-post-build
pip install --quiet --no-deps toolz==1.0.0
pwd > where.txt
"""
HONOURED = {
    "requirements": (
        {"binder/requirements.txt": "six==1.17.0\n", "requirements.txt": "no-such-package==999\n"},
        "import six; six.__version__",
        "1.17.0",
    ),
    "dot-binder": (
        {".binder/requirements.txt": "jupyterlab==4.4.10\njupyterlab-night==0.5.2\n"},
        "import jupyterlab, subprocess as s; jupyterlab.__version__ + "
        "s.run(['jupyter', 'labextension', 'list'], capture_output=True, text=True).stderr",
        ("4.4.10", "jupyterlab-night v0.5.2 enabled OK"),
    ),
    "pyproject": (
        {"pyproject.toml": PYPROJECT, "mine.py": MINE},
        "import mine, six; str(mine.x) + six.__version__",
        "11.17.0",
    ),
    "pipfile": (
        {"Pipfile": "[packages]\ntoolz = '==1.0.0'\n[dev-packages]\nsix = '==1.17.0'\n"},
        "import six, toolz; six.__version__ + ' ' + toolz.__version__",
        "1.17.0 1.0.0",
    ),
    "environment": (
        {"environment.yml": "name: x\nchannels: [conda-forge]\ndependencies: [python=3, pip, {pip: [six==1.17.0]}]\n"},
        "import six; six.__version__",
        "1.17.0",
    ),
    "editable": (
        {"requirements.txt": "-e .\n", "setup.py": SETUP, "mine.py": MINE},
        "import mine, os; os.path.realpath(mine.__file__) == os.path.realpath(os.path.expanduser('~/mine.py'))",
        "True",
    ),
    "post-build": (
        {"postBuild": POST_BUILD},
        "import toolz, pathlib, subprocess as s; pathlib.Path.home().joinpath('where.txt').read_text() + "
        "s.run(['jupyter', 'kernelspec', 'list'], capture_output=True, text=True).stdout",
        "made-by-post-build",
    ),
    "start": (
        {"runtime.txt": "python-3\n", "start": '#!/bin/sh\nexport STARTED=yes\nexec "$@"\n'},
        "import os; os.environ['STARTED']",
        "yes",
    ),
}
REFUSED = {
    "dockerfile": ({"Dockerfile": "FROM scratch\n"}, "Dockerfile: This builder has no container engine."),
    "apt": ({"apt.txt": "gcc\n"}, "apt.txt: This builder cannot install system packages."),
    "conda": ({"environment.yml": "dependencies: [numpy]\n"}, "numpy comes from conda"),
    "python": ({"runtime.txt": "python-3.2\n"}, "Python 3.2, which this machine does not have"),
    "failing-post-build": (
        {"postBuild": "#!/bin/sh\necho no such data >&2\nexit 3\n"},
        "postBuild failed: no such data",
    ),
}


def publish(stack: Stack, folder: Path, name: str, files: Mapping[str, str]) -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return stack.publish(folder, f"shape-{name}")


def answer(server: Event, code: str) -> str:
    async def asked() -> str:
        async with aiohttp.ClientSession() as session:
            return await execute(session, server.data["url"], server.data["token"], code)

    return asyncio.run(asked())


@pytest.mark.parametrize("name", HONOURED)
def test_what_is_honoured_is_there_in_a_kernel(stack: Stack, tmp_path: Path, name: str) -> None:
    files, code, expected = HONOURED[name]
    story = list(stack.until_end(stack.launch(publish(stack, tmp_path, name, files))))
    log = "".join(event.message for event in story)
    assert story[-1].phase == "ready", log
    # Where a server is shut in, so is its build, one level deeper.
    assert shutil.which("bwrap") is None or "No bubblewrap inside this build" not in log
    # Some programs colour what they say.
    said = answer(story[-1], code).replace("\\x1b[32m", "").replace("\\x1b[0m", "")
    assert all(each in said for each in ((expected,) if isinstance(expected, str) else expected)), said


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named_to_whoever_launches(stack: Stack, tmp_path: Path, name: str) -> None:
    files, reason = REFUSED[name]
    last = list(stack.until_end(stack.launch(publish(stack, tmp_path, name, files))))[-1]
    assert last.phase == "failed"
    assert reason in last.message
