"""As much of git's object store as it takes to tell an annotated tag from a commit.

https://git-scm.com/docs/gitformat-pack: loose objects, packs with their index, deltas within a pack.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

MAX_OBJECT = 1024 * 1024
MAX_TAGS = 10
MAX_DELTAS = 100
INDEX_V2 = b"\xfftOc\x00\x00\x00\x02"
FANOUT_AT, NAMES_AT = 8, 8 + 256 * 4
KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
OFS_DELTA, REF_DELTA = 6, 7
HASHES = {40: "sha1", 64: "sha256"}
TAGGED = re.compile(rb"object ([0-9a-f]{40}|[0-9a-f]{64})\n")


class Unreadable(Exception):
    """The object store is not as git makes it; the text says what was looked for."""


class Objects:
    """The objects in *folder* and in those it borrows from."""

    def __init__(self, folder: Path) -> None:
        self._folders = [folder, *_alternates(folder)]

    def peeled(self, sha: str) -> str:
        """*sha*, or what it tags if it is an annotated tag."""
        for _ in range(MAX_TAGS):
            kind, content = self._object(sha)
            if kind == "commit":
                return sha
            if kind != "tag":
                raise Unreadable(f"{sha} is neither a commit nor a tag")
            tagged = TAGGED.match(content)
            if not tagged:
                raise Unreadable(f"tag {sha} names no object")
            sha = tagged[1].decode()
        raise Unreadable(f"{sha} is a tag of a tag of a tag")

    def _object(self, sha: str, *, deltas_left: int = MAX_DELTAS) -> tuple[str, bytes]:
        """Kind and content, which are what the name of the object says."""
        kind, content = self._found(sha, deltas_left=deltas_left)
        whole = f"{kind} {len(content)}\0".encode() + content
        digest = hashlib.new(HASHES[len(sha)], whole, usedforsecurity=False).hexdigest()
        if digest != sha:
            raise Unreadable(f"object {sha} is damaged")
        return kind, content

    def _found(self, sha: str, *, deltas_left: int) -> tuple[str, bytes]:
        for folder in self._folders:
            if (path := folder / sha[:2] / sha[2:]).is_file():
                with path.open("rb") as file:
                    header, _, content = _inflated(file).partition(b"\0")
                return header.decode(errors="replace").partition(" ")[0], content
            for index in folder.glob("pack/*.idx"):
                with index.open("rb") as file:
                    offset = _offset(file, bytes.fromhex(sha))
                if offset is not None:
                    pack = index.with_suffix(".pack")
                    return self._packed(pack, offset, hash_length=len(sha) // 2, deltas_left=deltas_left)
        raise Unreadable(f"there is no object {sha}")

    def _packed(self, path: Path, offset: int, *, hash_length: int, deltas_left: int) -> tuple[str, bytes]:
        if not deltas_left:
            raise Unreadable(f"{path.name} holds too many deltas")
        with path.open("rb") as pack:
            if offset >= pack.seek(0, SEEK_END):
                raise Unreadable(f"{path.name} ends too early")
            pack.seek(offset)
            kind = _entry_kind(pack)
            if kind not in (OFS_DELTA, REF_DELTA):
                return KINDS.get(kind, ""), _inflated(pack)
            distance = _distance(pack) if kind == OFS_DELTA else 0
            name = pack.read(hash_length).hex() if kind == REF_DELTA else ""
            delta = _inflated(pack)
        if distance > offset:
            raise Unreadable(f"{path.name} holds a delta without a base")
        if name:
            base_kind, base = self._object(name, deltas_left=deltas_left - 1)
        else:
            at = offset - distance
            base_kind, base = self._packed(path, at, hash_length=hash_length, deltas_left=deltas_left - 1)
        return base_kind, _patched(base, delta)


def _alternates(folder: Path) -> Iterator[Path]:
    listing = folder / "info" / "alternates"
    if listing.is_file():
        lines = listing.read_text(errors="replace").splitlines()
        yield from (folder / line for line in lines if line and line[0] != "#")


def _inflated(file: BinaryIO) -> bytes:
    inflate = zlib.decompressobj()
    content = b""
    try:
        while not inflate.eof and (data := file.read(8192)):
            content += inflate.decompress(data, MAX_OBJECT)
            if len(content) >= MAX_OBJECT or inflate.unconsumed_tail:
                raise Unreadable("an object is too large for a commit or tag")
    except zlib.error as error:
        raise Unreadable("an object is not compressed as it should be") from error
    if not inflate.eof:
        raise Unreadable("an object ends too early")
    return content


def _offset(index: BinaryIO, name: bytes) -> int | None:
    """Where an index says that the object *name* begins in its pack; None when it is not in there."""
    if index.read(8) != INDEX_V2:
        raise Unreadable("an index of packed objects is of an unknown version")
    counts = index.read(256 * 4)
    first = _number(counts, name[0] - 1) if name[0] else 0
    last, total = _number(counts, name[0]), _number(counts, 255)
    if not first <= last <= total or NAMES_AT + total * (len(name) + 8) > index.seek(0, SEEK_END):
        raise Unreadable("an index of packed objects is damaged")
    index.seek(NAMES_AT + first * len(name))
    bucket = index.read((last - first) * len(name))
    place = next((i for i in range(last - first) if bucket.startswith(name, i * len(name))), None)
    if place is None:
        return None
    # After the names: a checksum of 4 bytes for each object, then its offset in 4 bytes.
    index.seek(NAMES_AT + total * (len(name) + 4) + (first + place) * 4)
    offset = int.from_bytes(index.read(4), "big")
    if offset < 1 << 31:
        return offset
    index.seek(NAMES_AT + total * (len(name) + 8) + (offset - (1 << 31)) * 8)
    return int.from_bytes(index.read(8), "big")


def _number(table: bytes, at: int) -> int:
    return int.from_bytes(table[at * 4 : at * 4 + 4], "big")


def _byte(file: BinaryIO) -> int:
    data = file.read(1)
    if not data:
        raise Unreadable("a pack ends too early")
    return data[0]


def _entry_kind(pack: BinaryIO) -> int:
    """The kind in an entry's head; its size, in the same variable-length number, is skipped."""
    first = byte = _byte(pack)
    while byte & 0x80:
        byte = _byte(pack)
    return first >> 4 & 7


def _distance(pack: BinaryIO) -> int:
    """How far before a delta its base begins."""
    byte = _byte(pack)
    distance = byte & 0x7F
    while byte & 0x80:
        byte = _byte(pack)
        distance = (distance + 1) << 7 | byte & 0x7F
    return distance


def _patched(base: bytes, delta: bytes) -> bytes:
    """*base* changed by a delta: pieces of it, and new bytes, one after the other."""
    data = iter(delta)
    try:
        for _ in range(2):  # the sizes of base and result
            while next(data) & 0x80:
                pass
        result = b""
        for command in data:
            if command & 0x80:
                start = sum(next(data) << 8 * i for i in range(4) if command >> i & 1)
                size = sum(next(data) << 8 * i for i in range(3) if command >> 4 + i & 1) or 0x10000
                result += base[start : start + size]
            else:
                result += bytes(next(data) for _ in range(command))
    except (StopIteration, RuntimeError) as error:
        raise Unreadable("a delta ends too early") from error
    return result
