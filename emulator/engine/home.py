"""The home folder of an image: the repository's files as repo2docker copies them, and what a build makes of them."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from emulator.engine.errors import BuildFailed
from emulator.images import home_layer
from emulator.images.layer import HOME
from emulator.images.tree import Entry, Kind, in_order, stays_inside
from emulator.images.unpack import unpack


@dataclass(frozen=True, slots=True)
class Home:
    """`left_out` are links that point out of the repository: a home folder must not lead into the machine."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...]


def home_of(context: tarfile.TarFile, *, scripts: Collection[str]) -> Home:
    """Everything under `src/` of repo2docker's build context; the *scripts* are made executable."""
    found: dict[str, Entry] = {}
    for member in context:
        path = member.name.removeprefix("src/")
        if path != member.name and path:
            found[path] = _entry(context, member, path, executable=path in scripts or bool(member.mode & 0o100))
    return without_ways_out(in_order([*_folders(found), *found.values()]))


def without_ways_out(entries: Sequence[Entry]) -> Home:
    """The home that holds *entries*, but no link out of it."""
    out = [entry for entry in entries if entry.kind is Kind.LINK and not stays_inside(entry.path, entry.target)]
    names = {entry.path for entry in out}
    kept = tuple(entry for entry in entries if entry.path not in names)
    return Home(kept, tuple(f"{entry.path} -> {entry.target}" for entry in out))


def lay_out(home: Home, folder: Path) -> None:
    """Make the new folder *folder* hold this home."""
    blocks = home_layer(home.entries).blocks()
    unpack(blocks, prefix=HOME, into=folder, links=stays_inside, writable=True)


def _entry(context: tarfile.TarFile, member: tarfile.TarInfo, path: str, *, executable: bool) -> Entry:
    if ".." in PurePosixPath(path).parts or path.startswith("/"):
        raise BuildFailed(f"{path} is not a path inside the repository.")
    if member.isdir():
        return Entry(path=path, kind=Kind.FOLDER)
    if member.issym():
        return Entry(path=path, kind=Kind.LINK, target=member.linkname)
    # A hard link has the size of what it names, which tarfile finds by itself.
    content = context.getmember(member.linkname) if member.islnk() else member
    if not content.isreg():
        raise BuildFailed(f"{path} is neither a file, a folder nor a symbolic link.")
    return Entry(
        path=path, kind=Kind.FILE, executable=executable, size=content.size, open=partial(_open, context, content)
    )


def _open(context: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = context.extractfile(member)
    assert file is not None
    return file


def _folders(found: dict[str, Entry]) -> Iterable[Entry]:
    """The folders that hold something but are not listed themselves."""
    parents = {str(parent) for path in found for parent in PurePosixPath(path).parents} - {"."}
    return [Entry(path=path, kind=Kind.FOLDER) for path in parents - found.keys()]
