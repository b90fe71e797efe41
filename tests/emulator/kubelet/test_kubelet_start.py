"""What a kubelet says when it cannot do its work here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulator.kubelet.cluster import passable_folder


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root's containers are another user")
def test_root_without_bubblewrap_is_told_which_folder_its_containers_may_not_enter(tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text("t")
    (login := tmp_path / "login").write_text("user:password")
    (shut := tmp_path / "shut").mkdir(mode=0o700)
    with passable_folder() as state:
        command = [
            *(sys.executable, "-m", "emulator.kubelet", "--no-bubblewrap", "--port", "0", "--state", str(state)),
            *("--server", "http://127.0.0.1:9", "--token-file", str(token), "--node-name", "local"),
            *("--registry", "127.0.0.1:9", "--registry-credentials", str(login), "--needed", str(shut)),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "may not enter" in ended.stderr
    assert "Install bubblewrap" in ended.stderr
