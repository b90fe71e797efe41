"""Running code of strangers during a build: package build scripts, and the installer while it runs them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_OWN_NAMESPACES = (
    "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--unshare-ipc", "--die-with-parent",
)  # fmt: skip


def available() -> bool:
    """Whether bubblewrap is here and may do what we need of it."""
    if not shutil.which("bwrap"):
        return False
    return subprocess.run(["bwrap", *_OWN_NAMESPACES, "--", "true"], capture_output=True, check=False).returncode == 0


def confined(command: Sequence[str], *, writable: Sequence[Path]) -> list[str]:
    """The command that runs *command* where only *writable* can be written, and no other process be seen."""
    binds = [part for path in writable for part in ("--bind", str(path), str(path))]
    return ["bwrap", *_OWN_NAMESPACES, *binds, "--", *command]
