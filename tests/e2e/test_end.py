"""The end of a whole stack with running pods: whoever is killed before, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.stack.processes import Identity, alive, descendants, end
from tests.e2e.stack import HTTP, ROOT, Stack, wait_until
from tests.ports import free_port

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

# Asked to end, it only says so; and it has a child that nobody would find by its session.
DEAF = "(setsid sleep 987 &); trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done"


class OwnStack:
    """A stack for one test, in the foreground of a process of its own."""

    def __init__(self, state: Path) -> None:
        port = free_port()
        self.stack = Stack(state, f"http://127.0.0.1:{port}")
        environment = {**self.stack.environment(), "BINDERLESS_PORT": str(port)}
        command = [sys.executable, "-m", "emulator", "up"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        self.family: set[Identity] = set()

    def ready(self) -> None:
        wait_until(lambda: bool(self.stack.status().get("ready")), patience_s=120, what="the start of the stack")

    def run_pod(self) -> None:
        """Run one that does not end by itself, and remember every process of the stack."""
        kube = f"http://127.0.0.1:{self.stack.port('kube')}/api/v1/namespaces/binderless/pods"
        headers = {"Authorization": f"Bearer {self.stack.secret('cluster-admin')}"}
        image = f"127.0.0.1:{self.stack.port('registry')}/binderless/shell:latest"
        container = {"name": "main", "image": image, "command": ["sh", "-c", DEAF]}
        pod = {"metadata": {"name": "deaf"}, "spec": {"containers": [container]}}
        assert HTTP.request("POST", kube, headers=headers, json=pod).status == 201
        url = f"{kube}/deaf/log"
        wait_until(lambda: HTTP.request("GET", url, headers=headers).data == b"up\n", what="the pod's first word")
        self.family |= set(descendants(self.process.pid))
        assert len([each for each in self.family if _command(each).endswith(b"sleep\x00987\x00")]) == 1

    def left(self) -> list[bytes]:
        return [_command(each) for each in self.family if alive(each)]


def _command(process: Identity) -> bytes:
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnStack]:
    stack = OwnStack(tmp_path / "state")
    try:
        stack.ready()
        stack.run_pod()
        yield stack
    finally:
        stack.process.terminate()
        stack.process.wait(60)
        end([each for each in stack.family if alive(each)], grace_s=1)


def test_a_killed_supervisor_leaves_no_container(own: OwnStack) -> None:
    os.kill(own.process.pid, signal.SIGKILL)
    own.process.wait()
    wait_until(lambda: not own.left(), patience_s=15, what=f"the end of {own.left()}")


def test_a_supervisor_that_is_killed_after_its_kubelet_leaves_no_container(own: OwnStack) -> None:
    own.stack.kill_part("kubelet")
    os.kill(own.process.pid, signal.SIGKILL)
    own.process.wait()
    wait_until(lambda: not own.left(), patience_s=15, what=f"the end of {own.left()}")


def test_a_stack_that_is_stopped_while_its_kubelet_is_dead_leaves_no_container(own: OwnStack) -> None:
    own.stack.kill_part("kubelet")
    own.process.terminate()
    assert own.process.wait(60) == 0
    assert not own.left()
