"""Running code of strangers during a build: package build scripts, and the installer while it runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HOME = Path("/home/jovyan")

_OWN_NAMESPACES = (
    "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--unshare-ipc", "--die-with-parent",
)  # fmt: skip


def available() -> bool:
    """Whether bubblewrap is here and may do what we need of it."""
    program = shutil.which("bwrap")
    if not program:
        return False
    trial = [program, *_OWN_NAMESPACES, "--", "true"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def confined(
    command: Sequence[str], *, writable: Sequence[Path], home: Path | None = None, folder: Path | None = None
) -> list[str]:
    """The command that runs *command* where only *writable* can be written, and no other process be seen.

    *home* is what it sees as /home/jovyan, writable too; *folder* is where it runs.
    """
    # By its own path: the search path of the command may begin in a folder that strangers write to.
    program = shutil.which("bwrap") or "bwrap"
    binds = [*_home(home)] if home else []
    binds += [part for path in writable for part in ("--bind", str(path), str(path))]
    return [program, *_OWN_NAMESPACES, *binds, *(("--chdir", str(folder)) if folder else ()), "--", *command]


def _home(home: Path) -> list[str]:
    """Mounts that put *home* where the home of a server is, beside what else is in /home of this machine."""
    if HOME.is_dir():
        return ["--bind", str(home), str(HOME)]
    others = [str(HOME.parent / name) for name in sorted(os.listdir(HOME.parent))]
    seen = [part for path in others for part in ("--ro-bind", path, path)]
    return ["--tmpfs", str(HOME.parent), *seen, "--bind", str(home), str(HOME)]
