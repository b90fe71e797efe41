"""An environment that mentions its own folder, although the folder is named by the hash of its content.

As in Nix: the hash is taken of the content with NOWHERE, a text of the same length, in place of the hash. So a folder
that is to be moved to its name says NOWHERE where its name will be, and whoever checks a name puts NOWHERE back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

# As long as a tree hash. No content has this hash.
NOWHERE = "0" * 64


def nowhere(folder: Path) -> Path:
    """What an environment that will be the folder *folder* says of itself before it has a name."""
    return folder.with_name(NOWHERE)


def named(blocks: Iterable[bytes], folder: Path) -> Iterator[bytes]:
    """The bytes of a file as it will be in *folder*, from those it has before the folder has a name."""
    return replaced(blocks, bytes(nowhere(folder)), bytes(folder))


def nameless(blocks: Iterable[bytes], folder: Path) -> Iterable[bytes]:
    """The bytes that count for the name of *folder*, from those of a file in it."""
    if len(folder.name) != len(NOWHERE):
        return blocks
    return replaced(blocks, bytes(folder), bytes(nowhere(folder)))


def replaced(blocks: Iterable[bytes], old: bytes, new: bytes) -> Iterator[bytes]:
    """The same bytes with *new* in place of *old*, also where two blocks meet."""
    overlap, kept = len(old) - 1, b""
    for block in blocks:
        whole = (kept + block).replace(old, new) if kept else block
        # A small file is one block, and leaves as one.
        cut = max(0, len(whole) - max(overlap, len(block)))
        if cut:
            yield whole[:cut]
        kept = whole[cut:]
    if kept:
        yield kept.replace(old, new)
