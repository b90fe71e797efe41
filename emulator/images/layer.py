"""Layers: deterministic, uncompressed tar archives, made while they are sent.

A layer is read twice, once for its digest and once for the wire. Nothing is kept in memory or on disk.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from emulator.images.errors import ImageError
from emulator.images.manifest import ENVIRONMENT_ANNOTATION, LAYER_TYPE, Descriptor
from emulator.images.references import named
from emulator.images.tree import BLOCK_BYTES, Entry, Kind, of_environment, tree_hash

HOME = "home/jovyan"
_TAR_TYPE = {Kind.FOLDER: tarfile.DIRTYPE, Kind.FILE: tarfile.REGTYPE, Kind.LINK: tarfile.SYMTYPE}


@dataclass(frozen=True, slots=True)
class Layer:
    """What a manifest says of a layer, and how to get its bytes (again and again)."""

    descriptor: Descriptor
    blocks: Callable[[], Iterator[bytes]] = field(repr=False)


def environment_layer(entries: Sequence[Entry], *, root: Path) -> Layer:
    """An environment as the layer that restores it below *root*, in the folder named by its tree hash.

    Where it is to mention that folder, the entries mention `<root>/<NOWHERE>` (emulator.images.references).
    """
    for entry in entries:
        if entry.kind is Kind.LINK and not of_environment(entry.path, entry.target):
            raise ImageError(f"{entry.path} points out of the environment, to {entry.target}.")
    folder = root / tree_hash(entries)
    annotations = {ENVIRONMENT_ANNOTATION: str(folder)}
    return _layer(entries, prefix=str(folder).lstrip("/"), annotations=annotations, moved_to=folder)


def home_layer(entries: Sequence[Entry]) -> Layer:
    """The files of a repository as the layer that puts them into the home folder."""
    return _layer(entries, prefix=HOME, annotations={})


def _layer(
    entries: Sequence[Entry], *, prefix: str, annotations: Mapping[str, str], moved_to: Path | None = None
) -> Layer:
    def blocks() -> Iterator[bytes]:
        return _in_blocks(_archive(entries, prefix, moved_to))

    digest, size = hashlib.sha256(), 0
    for block in blocks():
        digest.update(block)
        size += len(block)
    return Layer(Descriptor(LAYER_TYPE, f"sha256:{digest.hexdigest()}", size, annotations), blocks)


def _archive(entries: Iterable[Entry], prefix: str, moved_to: Path | None) -> Iterator[bytes]:
    for parent in reversed(PurePosixPath(prefix).parents[:-1]):
        yield _header(Entry(path=str(parent), kind=Kind.FOLDER), "")
    yield _header(Entry(path=prefix, kind=Kind.FOLDER), "")
    for entry in entries:
        yield _header(entry, f"{prefix}/")
        yield from named(entry.blocks(), moved_to) if moved_to else entry.blocks()
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(entry: Entry, prefix: str) -> bytes:
    info = tarfile.TarInfo(prefix + entry.path)
    info.type, info.mode, info.size, info.linkname = _TAR_TYPE[entry.kind], entry.mode, entry.size, entry.target
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    except ValueError:
        # A path too long for the plain header gets another one before it.
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _in_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer, larger pieces: most files are small, and each piece is a system call."""
    waiting: list[bytes] = []
    length = 0
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, length = [], 0
    yield b"".join(waiting)
