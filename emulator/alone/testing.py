"""A Kubernetes for tests of any project: `with running_kubernetes(folder) as kubernetes: ...` (docs/kubernetes.md)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emulator.alone.plan import shell_image
from emulator.stack.installation import ROOT
from emulator.stack.processes import identify, leashed
from emulator.stack.state import StateFolder

# The parts end in a chain, each within its own grace.
LONGEST_STOP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubernetes:
    """A cluster that runs. Whoever has *token* may do everything in it.

    *url* is the API server's, which *ca*, a file, certifies; *kubeconfig* is a file with all of that. *shell_image* is
    an image with /bin/sh and all programs of the machine; empty where no pod runs.
    """

    url: str
    ca: Path
    token: str = field(repr=False)
    kubeconfig: Path
    shell_image: str = ""


class ClusterFailed(Exception):
    """The cluster did not start; the text is what it said."""


@contextmanager
def running_kubernetes(folder: Path, *, api_only: bool = False) -> Iterator[Kubernetes]:
    """Run a cluster on free ports, with its state in *folder*, for as long as the context lasts.

    With *api_only* there is no node, and no pod runs. At the end, and when this process dies, nothing is left but the
    folder. Raises ClusterFailed.
    """
    state = StateFolder(folder)
    output = state.folder() / "output"
    flags = ("--state", str(state.path), *(("--api-only",) if api_only else ()))
    command = leashed((sys.executable, "-m", "emulator", "kube", *flags), parent=os.getpid())
    with output.open("wb") as log:
        # A Ctrl-C at the terminal is for the tests, which then stop the cluster.
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = _ready(process, state, output)
        yield Kubernetes(
            url=url,
            ca=state.path / "kube" / "server.crt",
            token=(state.path / "secrets" / "cluster-admin").read_text(),
            kubeconfig=state.path / "kubeconfig",
            shell_image="" if api_only else shell_image(state),
        )
    finally:
        process.terminate()
        process.wait(LONGEST_STOP_S)


def _ready(process: subprocess.Popen[bytes], state: StateFolder, output: Path) -> str:
    """The address of the cluster, once it is ready. It ends by itself when it cannot be."""
    while process.poll() is None:
        record = state.record()
        if record and record.ready and record.supervisor == identify(process.pid):
            return record.url
        time.sleep(0.02)
    raise ClusterFailed(output.read_text(errors="replace").strip())
