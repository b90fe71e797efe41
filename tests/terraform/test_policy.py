"""checkov's rules for Google Cloud, apart from what was looked at and accepted (accepted.yaml)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "checkov.txt"
OPTIONS = ("--skip-download", "--framework", "terraform", "--quiet", "--output", "json")
UV = str(Path(sys.executable).parent / "uv")


@pytest.fixture(scope="module")
def checkov() -> Path:
    """checkov in an environment of its own: what it needs does not agree with what we need."""
    mark = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "binderless" / f"checkov-{mark}"
    if not (folder / "complete").exists():
        python = str(folder / "bin" / "python")
        subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        install = [UV, "pip", "install", "--quiet", "--require-hashes", "--python", python]
        subprocess.run([*install, "--requirement", str(REQUIREMENTS)], check=True)
        (folder / "complete").touch()
    return folder / "bin" / "checkov"


@pytest.mark.timeout(600)
def test_it_finds_what_is_accepted_and_nothing_else(checkov: Path) -> None:
    done = subprocess.run(
        [checkov, *OPTIONS, "--directory", "terraform"],
        cwd=ROOT,
        # Or else it asks its maker's service for the names of its checks.
        env={**os.environ, "BC_SKIP_MAPPING": "TRUE"},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    results = report["results"]
    assert report["summary"]["parsing_errors"] == 0
    found: dict[str, set[str]] = {}
    for finding in results["failed_checks"]:
        found.setdefault(finding["check_id"], set()).add(finding["resource"])
    accepted = yaml.safe_load((HERE / "accepted.yaml").read_text())
    assert found == {check: set(it["resources"]) for check, it in accepted.items()}
    assert all(it["reason"] for it in accepted.values())
