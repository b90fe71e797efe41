from __future__ import annotations

import hashlib
import random
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from functions.adapters.providers.objects import Objects, Unreadable
from tests.fakes.git_host import new_repository


def loose(folder: Path, kind: str, content: bytes) -> str:
    """Store *content* as git stores a loose object."""
    content = f"{kind} {len(content)}\0".encode() + content
    sha = hashlib.sha1(content).hexdigest()
    path = folder / sha[:2] / sha[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(content))
    return sha


def tag(folder: Path, sha: str) -> str:
    return loose(folder, "tag", b"object %b\ntype commit\n" % sha.encode())


def test_a_tag_of_a_tag_is_peeled(tmp_path: Path) -> None:
    commit = loose(tmp_path, "commit", b"tree")
    assert Objects(tmp_path).peeled(tag(tmp_path, tag(tmp_path, commit))) == commit


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("tag", b"hello"),
        ("tag", b"object abc\n"),
        ("tag", b"object " + b"a" * 40 + b"\n"),
        ("tree", b""),
        ("nonsense", b""),
        ("commit", bytes(2_000_000)),
    ],
    ids=["no object", "short object", "lost object", "tree", "nonsense", "too large"],
)
def test_what_leads_to_no_commit_is_unreadable(tmp_path: Path, kind: str, content: bytes) -> None:
    with pytest.raises(Unreadable):
        Objects(tmp_path).peeled(loose(tmp_path, kind, content))


def test_a_long_chain_of_tags_ends(tmp_path: Path) -> None:
    sha = loose(tmp_path, "commit", b"tree")
    for _ in range(20):
        sha = tag(tmp_path, sha)
    with pytest.raises(Unreadable, match="tag of a tag"):
        Objects(tmp_path).peeled(sha)


def test_half_an_object_is_unreadable(tmp_path: Path) -> None:
    sha = loose(tmp_path, "commit", random.Random(1).randbytes(100))
    path = tmp_path / sha[:2] / sha[2:]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Unreadable, match="ends too early"):
        Objects(tmp_path).peeled(sha)


@pytest.mark.parametrize("kind", ["idx", "pack"])
def test_a_damaged_pack_gives_the_right_commit_or_an_error(tmp_path: Path, kind: str) -> None:
    repository = new_repository(tmp_path / "repo")
    sha = repository.commit("first")
    for number in range(4):
        repository.git("tag", "-a", f"v{number}", "-m", f"{'long and alike ' * 50}{number}")
    tags = [repository.git("rev-parse", f"v{number}") for number in range(4)]
    repository.git("gc", "--quiet", "--aggressive")
    folder = repository.path / ".git/objects"
    path = next(folder.glob(f"pack/*.{kind}"))
    path.chmod(0o644)
    whole, dice = path.read_bytes(), random.Random(7)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged[: dice.randrange(len(whole))] if dice.random() < 0.3 else damaged)
        for tag in tags:
            with suppress(Unreadable):
                assert Objects(folder).peeled(tag) == sha
