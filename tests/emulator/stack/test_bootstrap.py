"""What the bootstrap decides; what it installs is shown by every run of the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator import bootstrap

Scripts = Callable[[str, str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Scripts:
    def make(name: str, content: str) -> Path:
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{content}\n")
        file.chmod(0o755)
        return file

    return make


@pytest.mark.parametrize(("answer", "major"), [("v20.20.2", 20), ("v18.0.0", 18), ("hello", 0), ("", 0)])
def test_the_version_of_node_is_read(script: Scripts, answer: str, major: int) -> None:
    assert bootstrap.node_version(str(script("node", f"echo {answer}"))) == major


def test_uv_is_installed_as_it_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    lines = Path(bootstrap.uv_requirement()).read_text().splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all("--hash=sha256:" in line or "# via" in line or line.endswith("\\") for line in lines[1:])


def test_a_step_that_fails_says_what_and_its_last_words(script: Scripts) -> None:
    program = script("npm", "echo no such host >&2; exit 3")
    with pytest.raises(bootstrap.CannotInstall, match="(?s)Installing x failed.*no such host"):
        bootstrap.step("Installing x", [str(program)], folder=program.parent)


@pytest.mark.parametrize("note", ["", "{}", '{"set": "all", "stamp": 1}', "[]"])
def test_a_damaged_stamp_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str) -> None:
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / "stamp")
    (tmp_path / "stamp").write_text(note)
    assert not bootstrap.is_installed("emulator")


def test_a_machine_without_git_is_told_so() -> None:
    done = subprocess.run(
        [sys.executable, bootstrap.__file__], env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "Binderless cannot be installed: git is needed and not on the PATH."


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(bootstrap.CannotInstall, match="Python 3.11 or newer is needed"):
        bootstrap.check_machine()


def test_no_address_of_a_registry_is_in_the_lock_of_the_proxy() -> None:
    lock = (bootstrap.ROOT / "emulator" / "hub" / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "sha512-" in lock
