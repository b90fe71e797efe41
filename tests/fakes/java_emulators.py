"""Google's own emulators, where gcloud has brought them: processes that last for a test session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulator.stack.processes import leashed
from tests.ports import free_port

FIRESTORE = ("cloud-firestore-emulator", "com.google.cloud.datastore.emulator.firestore.CloudFirestore")
PUBSUB = ("pubsub-emulator", "com.google.cloud.pubsub.testing.v1.Main")


def has(emulator: Sequence[str]) -> bool:
    """Whether this machine can run *emulator*."""
    return bool(shutil.which("java") and _jars(emulator[0]))


def needed(emulator: Sequence[str]) -> pytest.MarkDecorator:
    """Skips what needs *emulator* where it cannot run."""
    return pytest.mark.skipif(not has(emulator), reason=f"needs java and gcloud's {emulator[0]}")


@contextmanager
def running(emulator: Sequence[str], log: Path) -> Iterator[str]:
    """Run *emulator* and give its address, `host:port`."""
    component, main_class = emulator
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = ["java", "-Xmx256m", "-cp", str(_jars(component)[0]), main_class, "--host=127.0.0.1", f"--port={port}"]
    with log.open("wb") as output:
        # Java outlives tests that are killed.
        process = subprocess.Popen(leashed(command, parent=os.getpid()), cwd=log.parent, stdout=output, stderr=output)
        try:
            _await(port, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(20)


def _jars(component: str) -> list[Path]:
    gcloud = shutil.which("gcloud")
    # gcloud is a link into the SDK's bin folder, wherever that is.
    return sorted((Path(gcloud).resolve().parents[1] / "platform" / component).rglob("*.jar")) if gcloud else []


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
