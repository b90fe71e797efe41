"""The repository's files as repo2docker would copy them, from the tar that it hands to its engine."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO

from emulator.engine.errors import BuildFailed
from emulator.images.tree import Entry, Kind, in_order, stays_inside


@dataclass(frozen=True, slots=True)
class Home:
    """`left_out` are links that point out of the repository: a home folder must not lead into the machine."""

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...]


def home_of(context: tarfile.TarFile, *, start: str) -> Home:
    """Everything under `src/` of the build context; the *start* script is made executable."""
    found: dict[str, Entry] = {}
    left_out = []
    for member in context:
        path = member.name.removeprefix("src/")
        if path == member.name or not path:
            continue
        if member.issym() and not stays_inside(path, member.linkname):
            left_out.append(f"{path} -> {member.linkname}")
            continue
        found[path] = _entry(context, member, path, executable=path == start or bool(member.mode & 0o100))
    return Home(tuple(in_order([*_folders(found), *found.values()])), tuple(sorted(left_out)))


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
