"""Clusters as a stranger starts them: by command, from a folder of their own, or by the fixtures."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.alone.fixtures import kubernetes, kubernetes_api
from emulator.stack.installation import ROOT
from emulator.stack.processes import Identity, alive, descendants, end, identify, leashed
from emulator.stack.state import StateFolder
from tests.emulator.kube.binaries import installed, npm_command

# Long, for a machine that has much else to do.
START_S = 60.0

__all__ = ["kubernetes", "kubernetes_api"]


class Clusters:
    """`python -m emulator kube` in *folder*, which is not where the emulator lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = StateFolder(folder / ".binderless-kube")
        # Only so that another checkout, which may be the one that is installed, is not what is tested.
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._family: set[Identity] = set()
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A cluster that is ready."""
        process = subprocess.Popen(
            # It becomes the command, which ends should these tests be killed.
            leashed(self._command(*arguments), parent=os.getpid()),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        deadline = time.monotonic() + START_S
        while process.poll() is None and not self._is_ready(process):
            assert time.monotonic() < deadline, "the cluster did not start"
            time.sleep(0.02)
        self.look(process.pid)
        return process

    def stop(self, process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
        """End a cluster, which must be well; return what it said."""
        self.look(process.pid)
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said
        return said

    def ask(self, *arguments: str, code: int = 0) -> str:
        """Run another command of `kube`; return what it said."""
        done = subprocess.run(
            self._command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kubectl(self, *arguments: str) -> str:
        kubeconfig = ("--kubeconfig", str(self.state.path / "kubeconfig"))
        return subprocess.run(
            [any_kubectl(), *kubeconfig, *arguments], capture_output=True, text=True, timeout=60, check=True
        ).stdout

    def look(self, pid: int) -> None:
        """Remember a process and all that it has started."""
        if me := identify(pid):
            self._family |= {me, *descendants(pid)}

    def left(self) -> list[Identity]:
        """What still lives of all that was seen."""
        return [process for process in self._family if alive(process)]

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                self.stop(process)
        end(self.left(), grace_s=1)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "emulator", "kube", *arguments]

    def _is_ready(self, process: subprocess.Popen[str]) -> bool:
        record = self.state.record()
        return record is not None and record.ready and record.supervisor.pid == process.pid


def any_kubectl() -> str:
    """The machine's kubectl, or the one from npm."""
    npm = npm_command()
    found = shutil.which("kubectl") or (str(installed(npm) / "kubectl") if npm else None)
    if found is None:
        pytest.skip("needs kubectl")
    return found


@pytest.fixture
def clusters() -> Iterator[Clusters]:
    # pytest's own folder is its owner's, and root's containers without bubblewrap are another user.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        made = Clusters(Path(folder))
        yield made
        made.close()


@pytest.fixture
def kubectl(kubernetes: object) -> Callable[..., str]:
    """kubectl in the cluster of the fixture."""
    config = str(getattr(kubernetes, "kubeconfig", ""))

    def run(*arguments: str) -> str:
        command = [any_kubectl(), "--kubeconfig", config, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    return run
