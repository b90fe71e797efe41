"""The folders under `examples/` as git repositories, which is what a launch needs.

The same content gives the same commit on every machine: author and date are fixed, and git's own configuration on the
machine is not read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_NAME, _EMAIL, _DATE = "Binderless examples", "examples@binderless.invalid", "2025-01-01T00:00:00+00:00"
_IDENTITY = {
    f"GIT_{role}_{item}": value
    for role in ("AUTHOR", "COMMITTER")
    for item, value in (("NAME", _NAME), ("EMAIL", _EMAIL), ("DATE", _DATE))
}


def make_repository(folder: Path, into: Path) -> str:
    """Make *into* a git repository of what *folder* holds, and return its commit. Nothing happens if it is one already.

    Changed content becomes another commit on the same branch, `main`.
    """
    git = _Git(into)
    if not (into / ".git").is_dir():
        into.mkdir(parents=True, exist_ok=True)
        git.run("init", "--quiet", "--initial-branch=main", "--object-format=sha1", "--template=")
    _mirror(folder, into)
    git.run("add", "--all", "--force", ".")
    if git.run("status", "--porcelain") or not git.run("for-each-ref", "refs/heads/main"):
        git.run("commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", f"Example: {folder.name}")
    return git.run("rev-parse", "HEAD")


def _mirror(folder: Path, into: Path) -> None:
    """Make the working tree of *into* the same as *folder*."""
    for old in into.iterdir():
        if old.name == ".git":
            continue
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    ignored = shutil.ignore_patterns(".git", ".ipynb_checkpoints", "__pycache__")
    shutil.copytree(folder, into, symlinks=True, ignore=ignored, dirs_exist_ok=True)


class _Git:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        machine = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"} | machine | _IDENTITY

    def run(self, *arguments: str) -> str:
        command = ["git", "-c", "core.autocrlf=false", "-c", "core.fileMode=true", *arguments]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()
