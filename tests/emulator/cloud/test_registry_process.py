"""The registry as a process of its own, for a cluster without the rest of a cloud."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

USERS = {"pusher": {"password": "a-password", "push": True}, "puller": {"password": "other-password"}}


def command(folder: Path, users: object, port: int = 0) -> list[str]:
    (file := folder / "users.json").write_text(json.dumps(users))
    flags = ("--port", str(port), "--state", str(folder / "registry"), "--users", str(file))
    return [sys.executable, "-m", "emulator.cloud.registry", *flags]


@contextmanager
def registry(folder: Path, end: signal.Signals = signal.SIGTERM) -> Iterator[str]:
    """The address of a registry that runs within the context, and ends well."""
    with subprocess.Popen(command(folder, USERS), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        (url,) = re.findall(r"listening on (http://\S+)", process.stderr.readline())
        yield url
        process.send_signal(end)
        process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_it_is_healthy_for_everybody_and_has_images_for_its_users_only(tmp_path: Path, end: signal.Signals) -> None:
    with registry(tmp_path, end) as url:
        assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
        assert requests.get(f"{url}/v2/", timeout=10).status_code == 401
        assert requests.get(f"{url}/v2/", timeout=10, auth=("puller", "other-password")).status_code == 200
        assert requests.get(f"{url}/v2/", timeout=10, auth=("oauth2accesstoken", "")).status_code == 401
        upload = f"{url}/v2/some/image/blobs/uploads/"
        assert requests.post(upload, timeout=10, auth=("puller", "other-password")).status_code == 403
        assert requests.post(upload, timeout=10, auth=("pusher", "a-password")).status_code == 202


@pytest.mark.parametrize(
    "users", [[], {"a:b": {"password": "a-password"}}, {"a": {"password": ""}}], ids=["list", "name", "password"]
)
def test_users_that_cannot_be_are_refused_with_a_sentence(tmp_path: Path, users: object) -> None:
    ended = subprocess.run(command(tmp_path, users), capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "users.json: registry" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with registry(tmp_path) as url:
        taken = command(tmp_path, USERS, port=int(url.rpartition(":")[2]))
        ended = subprocess.run(taken, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr
