"""A folder as a list of entries, and the hash that names its content.

Only what matters to a program is kept: paths, kinds, content, where links point, and whether a file is executable.
Times, owners and permission to write are not, so the same content has the same hash wherever it lies.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from emulator.images.errors import ImageError

BLOCK_BYTES = 1 << 20
# A virtual environment's one way out: the interpreter it was made from.
_INTERPRETER_LINK = re.compile(r"bin/python[0-9.]*")
_INTERPRETER = re.compile(r"(/[^/]+)+/python[0-9.]*")


class Kind(StrEnum):
    FOLDER = "folder"
    FILE = "file"
    LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a tree, relative and without `.` or `..`; `open` reads a file, `target` is where a link points."""

    path: str
    kind: Kind
    executable: bool = False
    size: int = 0
    target: str = ""
    open: Callable[[], IO[bytes]] | None = None

    @property
    def mode(self) -> int:
        return 0o755 if self.executable or self.kind is Kind.FOLDER else 0o644

    def blocks(self) -> Iterator[bytes]:
        """The content of a file; an error if it is not as long as it was when the tree was listed."""
        if self.open is None:
            return
        left = self.size
        with self.open() as file:
            while block := file.read(BLOCK_BYTES):
                left -= len(block)
                yield block
        if left:
            raise ImageError(f"{self.path} changed while it was read.")


def scan(folder: Path) -> list[Entry]:
    """Everything below *folder*, sorted by path. Sockets, pipes and devices are refused."""
    found: list[Entry] = []
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as children:
            entries = [_entry(child, posixpath.join(prefix, child.name)) for child in children]
        found.extend(entries)
        waiting.extend(entry.path for entry in entries if entry.kind is Kind.FOLDER)
    return in_order(found)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: os.fsencode(entry.path))


def _entry(child: os.DirEntry[str], path: str) -> Entry:
    status = child.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return Entry(path=path, kind=Kind.LINK, target=os.readlink(child.path))
    if stat.S_ISDIR(status.st_mode):
        return Entry(path=path, kind=Kind.FOLDER)
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path} is neither a file nor a folder.")
    location = Path(child.path)
    return Entry(
        path=path,
        kind=Kind.FILE,
        executable=bool(status.st_mode & stat.S_IXUSR),
        size=status.st_size,
        open=lambda: location.open("rb"),
    )


def tree_hash(entries: Iterable[Entry]) -> str:
    """The sha256 that names the content of *entries*."""
    return hash_of((entry, _content_hash(entry)) for entry in entries)


def hash_of(contents: Iterable[tuple[Entry, str]]) -> str:
    """The tree hash of entries whose content has been hashed already."""
    whole = hashlib.sha256()
    for entry, content in sorted(contents, key=lambda pair: os.fsencode(pair[0].path)):
        whole.update(f"{entry.kind} {entry.mode:o} {content} ".encode())
        whole.update(os.fsencode(entry.path) + b"\0")
    return whole.hexdigest()


def _content_hash(entry: Entry) -> str:
    content = hashlib.sha256(os.fsencode(entry.target))
    for block in entry.blocks():
        content.update(block)
    return content.hexdigest()


# Whether a link (its path, its target) is allowed in a tree.
Links = Callable[[str, str], bool]


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at *path* that points to *target* stays in its tree. It is not followed to find out."""
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return not target.startswith("/") and reached != ".." and not reached.startswith("../")


def of_environment(path: str, target: str) -> bool:
    """Whether a link may be in an environment: it stays inside, or leads to the Python that the environment is of."""
    to_python = _INTERPRETER_LINK.fullmatch(path) and _INTERPRETER.fullmatch(posixpath.normpath(target))
    return bool(to_python) or stays_inside(path, target)
