"""Folders that were built in one place and will be used in another: what they hold mentions the right one.

Only text is changed. What mentions a place in other files (debug information, mostly) is left as it is.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

from emulator.images.tree import Entry, Kind, scan

# A larger file is data.
_LARGEST_TEXT = 16 << 20

Moves = Mapping[Path, Path]


def moved(entries: Iterable[Entry], moves: Moves) -> list[Entry]:
    """The same entries, but text in them that mentions an old place mentions the new one."""
    pairs = [(bytes(old), bytes(new)) for old, new in moves.items()]
    return [_moved(entry, pairs) for entry in entries]


def rewrite(folder: Path, moves: Moves) -> None:
    """Change the files in *folder* themselves, as `moved` does."""
    for before in scan(folder):
        [after] = moved([before], moves)
        if after is not before:
            (folder / after.path).write_bytes(b"".join(after.blocks()))


def linked_inside(entries: Iterable[Entry], roots: Iterable[Path]) -> list[Entry]:
    """The same entries, but links that lead into one of *roots*, under which the entries lie, do so relatively."""
    prefixes = [f"{root}/" for root in roots]
    return [_relative(entry, prefixes) if entry.kind is Kind.LINK else entry for entry in entries]


def _relative(entry: Entry, prefixes: Iterable[str]) -> Entry:
    for prefix in prefixes:
        if entry.target.startswith(prefix):
            inside = entry.target.removeprefix(prefix)
            return replace(entry, target=posixpath.relpath(inside, posixpath.dirname(entry.path) or "."))
    return entry


def _moved(entry: Entry, pairs: list[tuple[bytes, bytes]]) -> Entry:
    if entry.kind is not Kind.FILE or entry.open is None or entry.size > _LARGEST_TEXT:
        return entry
    content = b"".join(entry.blocks())
    if b"\0" in content or not any(old in content for old, _ in pairs):
        return entry
    return replace(entry, size=len(_replaced(content, pairs)), open=partial(_open, entry, pairs))


def _open(entry: Entry, pairs: list[tuple[bytes, bytes]]) -> IO[bytes]:
    return io.BytesIO(_replaced(b"".join(entry.blocks()), pairs))


def _replaced(content: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes:
    for old, new in pairs:
        content = content.replace(old, new)
    return content
