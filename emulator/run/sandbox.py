"""The command and the environment of an instance: what Cloud Run gives a function, and nothing else.

With bubblewrap, an instance has its source mounted read-only and its own process namespace, so it ends with everything
it started, and its process ids say as little as they do in the cloud. Without, it is a plain process group.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emulator.run.config import Function
from emulator.run.revision import Revision

# The instance listens on a Unix socket: gunicorn binds to f"{HOST}:{PORT}", and takes "unix:/path:8080" for a path.
# So PORT is what it is in Cloud Run, and no other process of the machine reaches an instance past the router.
PORT = "8080"
SOCKET_NAME = "http"

# A kernel that kills the master with its parent does not know the workers, and one that is stopped would never notice.
PLAIN_LAUNCHER = """
import ctypes, os, runpy, signal, sys
libc, parent = ctypes.CDLL(None), int(sys.argv.pop(1))
def die_with_parent():
    libc.prctl(1, signal.SIGKILL)
die_with_parent()
if os.getppid() != parent:
    sys.exit("the runtime is gone")
os.register_at_fork(after_in_child=die_with_parent)
runpy.run_module("functions_framework", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that instances of one function have in common. Without *bwrap* they are plain processes."""

    function: str
    settings: Function
    revision: Revision
    python: Path
    bwrap: str | None

    def command(self, *, info_fd: int) -> list[str]:
        """The command of one instance; bubblewrap writes the instance's process id to *info_fd*."""
        # Without `site`, links to a checkout (.pth files) are not followed: only main.py's folder and the installed
        # packages can be imported, as in the cloud.
        python = [str(self.python), "-S"]
        framework = ["--target", self.settings.entry_point]
        if self.bwrap is None:
            return [*python, "-c", PLAIN_LAUNCHER, str(os.getpid()), *framework]
        wrapper = _wrapper(self.bwrap, self.revision.folder)
        return [*wrapper, "--info-fd", str(info_fd), "--", *python, "-m", "functions_framework", *framework]

    def environment(self, folder: Path) -> dict[str, str]:
        """The whole environment of an instance whose private folder is *folder*."""
        service = self.function.replace("_", "-")
        return {
            **self.settings.environment,
            "PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "HOST": f"unix:{folder / SOCKET_NAME}",
            "PORT": PORT,
            "K_SERVICE": service,
            "K_REVISION": f"{service}-{self.revision.name}",
            "K_CONFIGURATION": service,
            "FUNCTION_TARGET": self.settings.entry_point,
            "FUNCTION_SIGNATURE_TYPE": "http",
            "WORKERS": "1",
            "THREADS": str(self.settings.concurrency),
            "LOG_EXECUTION_ID": "true",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": ":".join(self.revision.site_packages),
        }


def socket_path(folder: Path) -> Path:
    """Where the instance with this private folder listens."""
    return folder / f"{SOCKET_NAME}:{PORT}"


def find_bwrap() -> str | None:
    """The path of a bubblewrap that works on this machine, or None."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    try:
        # Where user namespaces are forbidden it is installed, and fails.
        probe = [*_wrapper(bwrap, Path("/usr")), "--", "/bin/true"]
        return bwrap if subprocess.run(probe, capture_output=True, timeout=10, check=False).returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired):
        return None


def _wrapper(bwrap: str, source: Path) -> list[str]:
    # The function is the first process of its namespace, so that SIGTERM reaches it and not a bystander.
    own = ["--unshare-pid", "--as-pid-1", "--unshare-ipc", "--die-with-parent"]
    mounts = ["--bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--ro-bind", str(source), str(source)]
    return [bwrap, *own, *mounts, "--chdir", str(source)]
