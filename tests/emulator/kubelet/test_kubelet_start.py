"""A kubelet as a process: what it waits for, and what it says when it cannot do its work here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.emulator.kubelet.cluster import TOKEN, eventually, passable_folder
from tests.ports import free_port, listens


def command_of(tmp_path: Path, state: Path, *flags: str, server: int = 9, port: int = 0) -> list[str]:
    """A kubelet's command line, and the files it names."""
    (token := tmp_path / "token").write_text(TOKEN)
    (login := tmp_path / "login").write_text("user:password")
    return [
        *(sys.executable, "-m", "emulator.kubelet", "--port", str(port), "--state", str(state)),
        *("--server", f"http://127.0.0.1:{server}", "--token-file", str(token), "--node-name", "local"),
        *("--registry", "127.0.0.1:9", "--registry-credentials", str(login), *flags),
    ]


@contextmanager
def run(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        yield process
        process.terminate()
        assert process.wait(20) == 0


def health(port: int) -> int:
    """The status of its /healthz; 0 when nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as answer:
            return int(answer.status)
    except URLError as error:
        return int(getattr(error, "code", 0))


def test_a_kubelet_that_comes_before_its_api_server_waits_for_it(tmp_path: Path) -> None:
    server, port = free_port(), free_port()
    (tokens := tmp_path / "tokens").write_text(f'{TOKEN},kubelet,1,"system:masters"\n')
    kube = ["--port", str(server), "--state", str(tmp_path / "kube"), "--token-file", str(tokens)]
    with passable_folder() as state, run(command_of(tmp_path, state, server=server, port=port)):
        eventually(lambda: listens("127.0.0.1", port))
        assert health(port) == 503
        with run([sys.executable, "-m", "emulator.kube", *kube]):
            eventually(lambda: health(port) == 200)


def test_a_kubelet_that_waits_for_its_api_server_can_be_stopped(tmp_path: Path) -> None:
    port = free_port()
    with passable_folder() as state, run(command_of(tmp_path, state, port=port)):
        eventually(lambda: listens("127.0.0.1", port))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root's containers are another user")
def test_root_without_bubblewrap_is_told_which_folder_its_containers_may_not_enter(tmp_path: Path) -> None:
    (shut := tmp_path / "shut").mkdir(mode=0o700)
    with passable_folder() as state:
        command = command_of(tmp_path, state, "--no-bubblewrap", "--needed", str(shut))
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "may not enter" in ended.stderr
    assert "Install bubblewrap" in ended.stderr
