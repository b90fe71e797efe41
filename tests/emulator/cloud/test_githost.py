"""The git host, judged by git itself."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.emulator.cloud.conftest import Cloud


def git(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    author = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ["git", *arguments], cwd=cwd, env=clean | author | environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(cloud: Cloud) -> Path:
    """A repository with a work tree, a bare clone of it, and one in a folder."""
    root = cloud.state / "git"
    plain = root / "plain"
    plain.mkdir()
    git("init", "--initial-branch=main", cwd=plain)
    (plain / "notebook.ipynb").write_bytes(os.urandom(300_000))
    git("add", ".", cwd=plain)
    assert git("commit", "-m", "first", cwd=plain).returncode == 0
    git("tag", "-a", "v1", "-m", "one", cwd=plain)
    git("clone", "--bare", "plain", "bare.git", cwd=root)
    git("clone", "--bare", "plain", "owner/name.git", cwd=root)
    return root


@pytest.mark.parametrize("name", ["plain", "bare", "owner/name"])
@pytest.mark.parametrize("version", ["0", "2"])
def test_a_repository_is_listed_and_cloned(cloud: Cloud, root: Path, tmp_path: Path, name: str, version: str) -> None:
    url, protocol = f"http://{cloud.http}/git/{name}.git", f"protocol.version={version}"
    listed = git("-c", protocol, "ls-remote", url, cwd=tmp_path, GIT_TRACE_PACKET="1")
    head = git("rev-parse", "HEAD", cwd=root / "plain").stdout.strip()
    assert f"{head}\tHEAD\n{head}\trefs/heads/main\n" in listed.stdout
    assert "refs/tags/v1^{}" in listed.stdout
    assert ("git< version 2" in listed.stderr) is (version == "2")
    cloned = git("-c", protocol, "clone", "--depth=1", url, "copy", cwd=tmp_path)
    assert cloned.returncode == 0, cloned.stderr
    notebook = (tmp_path / "copy" / "notebook.ipynb").read_bytes()
    assert notebook == (root / "plain" / "notebook.ipynb").read_bytes()


def test_a_commit_is_fetched_by_its_sha(cloud: Cloud, root: Path, tmp_path: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=root / "plain").stdout.strip()
    git("init", cwd=tmp_path)
    fetched = git("fetch", f"http://{cloud.http}/git/bare.git", head, cwd=tmp_path)
    assert fetched.returncode == 0, fetched.stderr


def test_nobody_can_push(cloud: Cloud, root: Path) -> None:
    refused = git("push", f"http://{cloud.http}/git/bare.git", "main:other", cwd=root / "plain")
    assert refused.returncode != 0
    assert "other" not in git("branch", cwd=root / "bare.git").stdout


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/git/nothing.git/info/refs?service=git-upload-pack", 404),
        ("/git/plain.git/info/refs", 403),
        ("/git/plain.git/info/refs?service=git-receive-pack", 403),
        ("/git/plain.git/info/refs?service=git-upload-pack&service=git-receive-pack", 403),
        ("/git/plain.git/git-upload-pack", 405),
        ("/git/plain.git/git-receive-pack", 404),
        ("/git/plain.git/HEAD", 404),
        ("/git/plain.git/config", 404),
        ("/git/plain.git/objects/info/packs", 404),
        ("/git/../cloud/identity-key.pem", 404),
        ("/git/%2e%2e/git/bare.git/info/refs?service=git-upload-pack", 404),
        ("/git/..%2fgit%2fbare.git/info/refs?service=git-upload-pack", 404),
        ("/git/link.git/info/refs?service=git-upload-pack", 404),
        ("/git/-plain.git/info/refs?service=git-upload-pack", 404),
    ],
)
def test_nothing_but_repositories_is_served(cloud: Cloud, tmp_path: Path, path: str, status: int) -> None:
    git("init", "--bare", cwd=tmp_path)
    link = cloud.state / "git" / "link.git"
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path)
    assert raw_status(cloud.http, path) == status


def raw_status(address: str, path: str) -> int:
    """The status of a GET whose path nobody tidies up."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_a_packed_request_is_understood(cloud: Cloud, root: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=root / "plain").stdout.strip()
    body = gzip.compress(b"0014command=ls-refs\n0001" + b"001bref-prefix refs/heads/\n" + b"0000")
    headers = {
        "Content-Type": "application/x-git-upload-pack-request",
        "Content-Encoding": "gzip",
        "Git-Protocol": "version=2",
    }
    answer = requests.post(f"http://{cloud.http}/git/plain.git/git-upload-pack", data=body, headers=headers, timeout=10)
    assert f"{head} refs/heads/main\n" in answer.text


def test_an_endless_request_is_ended(cloud: Cloud, root: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=root / "plain").stdout.strip()

    def endless() -> Iterator[bytes]:
        while True:
            yield f"0032want {head}\n".encode() * 1000

    url = f"http://{cloud.http}/git/bare.git/git-upload-pack"
    headers = {"Content-Type": "application/x-git-upload-pack-request"}
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        requests.post(url, data=endless(), headers=headers, timeout=30)
    assert requests.get(f"http://{cloud.http}/healthz", timeout=10).status_code == 200
