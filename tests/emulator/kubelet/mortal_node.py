"""A node whose kubelet dies and comes back, while its containers go on."""

from __future__ import annotations

import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from emulator.kubelet.runs import Record
from tests.emulator.kubelet.cluster import Cluster, eventually, kubelet_process
from tests.ports import free_port


class Node:
    """A node whose kubelet can be killed and started; its containers end with *keeper*."""

    def __init__(self, cluster: Cluster, folder: Path, keeper: int, flags: tuple[str, ...]) -> None:
        self.cluster, self.namespace = cluster, cluster.namespace()
        self.flags = flags
        self._folder, self._port = folder, free_port()
        self._options = (*flags, "--end-with", str(keeper), "--port", str(self._port))
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = self._stack.enter_context(kubelet_process(self.cluster, self._folder, *self._options))
        eventually(self._ready)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        self._stack.close()

    def home(self, name: str = "a", container: str = "main") -> Path:
        uid = self.namespace.pod(name)["metadata"]["uid"]
        return self.cluster.state / "pods" / str(uid) / "containers" / container / "home"

    def record(self, name: str = "a", container: str = "main") -> Record:
        return Record(self.cluster.state / "runs" / self.namespace.pod(name)["metadata"]["uid"] / container)

    def pid(self, name: str = "a", container: str = "main") -> int:
        """The container's command."""
        run = self.record(name, container).read()
        assert run is not None and run.main is not None
        return run.main.pid

    def lines(self) -> list[str]:
        return self.namespace.output().splitlines()
