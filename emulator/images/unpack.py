"""Unpacking a layer that a stranger may have made.

Nothing is written but plain files, folders and links below one fresh folder. Every folder on the way to an entry was
made here, and nothing is ever replaced, so no link can lead a later entry elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from emulator.images.errors import ImageError
from emulator.images.references import nameless
from emulator.images.tree import BLOCK_BYTES, Entry, Kind, Links, hash_of


def unpack(blocks: Iterator[bytes], *, prefix: str, into: Path, links: Links, writable: bool) -> str:
    """Unpack what lies under *prefix* into the new folder *into*, and return the tree hash of what was written, not
    counting where it mentions */prefix* (emulator.images.references).

    An entry anywhere else is refused, and so is a link that *links* does not allow. *blocks* is read to its end, so
    that whatever verifies it has its say.
    """
    into.mkdir()
    folder = _Folder(into, links, named=Path("/", prefix), writable=writable)
    with io.BufferedReader(_Stream(blocks), BLOCK_BYTES) as stream:
        try:
            _fill(folder, stream, prefix)
        except tarfile.TarError as error:
            raise ImageError("A layer of the image is not a tar archive.") from error
        while stream.read(BLOCK_BYTES):
            pass
    return hash_of(folder.written)


def _fill(folder: _Folder, stream: IO[bytes], prefix: str) -> None:
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as archive:
        for member in archive:
            folder.add(member, _below(member.name, prefix), archive)
            # tarfile remembers every member; this is what keeps memory flat.
            archive.members = []  # type: ignore[attr-defined]


def _below(name: str, prefix: str) -> str:
    """The part of *name* under *prefix*; empty for the prefix itself and for the folders that lead to it."""
    parts, start = name.split("/"), prefix.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in name:
        raise ImageError(f"The image holds the path {name!r}, which is not allowed.")
    if parts[: len(start)] == start:
        return "/".join(parts[len(start) :])
    if start[: len(parts)] == parts:
        return ""
    raise ImageError(f"The image holds {name!r}, which is not under {prefix}.")


class _Folder:
    """A fresh folder being filled. `written` is what it holds, with the hash of each content."""

    def __init__(self, root: Path, links: Links, *, named: Path, writable: bool) -> None:
        self.written: list[tuple[Entry, str]] = []
        self._root = root
        self._links = links
        self._named = named
        self._mask = 0o777 if writable else 0o555
        self._folders = {""}

    def add(self, member: tarfile.TarInfo, path: str, archive: tarfile.TarFile) -> None:
        add = self._kind(member)
        if not path:
            if not member.isdir():
                raise ImageError(f"The image holds {member.name!r}, which is not a folder.")
            return
        if path.rpartition("/")[0] not in self._folders:
            raise ImageError(f"The image holds {member.name!r}, but not the folder it is in.")
        try:
            self.written.append(add(member, path, archive))
        except FileExistsError as error:
            raise ImageError(f"The image holds {member.name!r} twice.") from error

    def _kind(self, member: tarfile.TarInfo) -> Callable[[tarfile.TarInfo, str, tarfile.TarFile], tuple[Entry, str]]:
        if member.isdir():
            return self._add_folder
        if member.issym():
            return self._add_link
        if member.isreg() and not member.issparse():
            return self._add_file
        raise ImageError(f"The image holds {member.name!r}, which is neither a file, a folder nor a symbolic link.")

    def _add_folder(self, member: tarfile.TarInfo, path: str, archive: tarfile.TarFile) -> tuple[Entry, str]:
        os.mkdir(f"{self._root}/{path}", 0o755)
        self._folders.add(path)
        return Entry(path=path, kind=Kind.FOLDER), hashlib.sha256().hexdigest()

    def _add_link(self, member: tarfile.TarInfo, path: str, archive: tarfile.TarFile) -> tuple[Entry, str]:
        if not self._links(path, member.linkname):
            raise ImageError(f"The image holds {member.name!r}, a link out of the image to {member.linkname!r}.")
        os.symlink(member.linkname, f"{self._root}/{path}")
        entry = Entry(path=path, kind=Kind.LINK, target=member.linkname)
        return entry, hashlib.sha256(os.fsencode(member.linkname)).hexdigest()

    def _add_file(self, member: tarfile.TarInfo, path: str, archive: tarfile.TarFile) -> tuple[Entry, str]:
        entry = Entry(path=path, kind=Kind.FILE, executable=bool(member.mode & 0o100), size=member.size)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(f"{self._root}/{path}", flags, entry.mode & self._mask)
        seen = hashlib.sha256()
        with open(descriptor, "wb", buffering=0) as file:
            for block in nameless(_written(archive.extractfile(member), file), self._named):
                seen.update(block)
        return entry, seen.hexdigest()


def _written(content: IO[bytes] | None, file: IO[bytes]) -> Iterator[bytes]:
    """The blocks of *content*, each of which has been written to *file*."""
    while content is not None and (block := content.read(BLOCK_BYTES)):
        file.write(block)
        yield block


class _Stream(io.RawIOBase):
    """An iterator of bytes as a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        length = min(len(buffer), len(self._rest))
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length
