"""What the source archive of the functions holds: exactly this goes to the cloud, and to an instance here.

One archive deploys every function by its entry point. Whatever is not listed here does not exist for a function, so
one that needs more fails on this machine too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Names at the root of a checkout; a folder goes in whole. `config.yaml` comes from wherever the deployment keeps it.
FILES = ("main.py", "requirements.txt")
FOLDERS = ("functions",)
CONFIG = "config.yaml"
LEFT_OUT = frozenset({"__pycache__"})


class BadArchive(Exception):
    """The checkout does not hold what the archive needs; says what is missing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive: its name there, and where it comes from."""

    name: PurePosixPath
    origin: Path


def entries(source: Path, config_file: Path) -> tuple[Entry, ...]:
    """The files of the archive, in order of their names. Raises BadArchive."""
    found = [Entry(PurePosixPath(name), source / name) for name in FILES]
    found.append(Entry(PurePosixPath(CONFIG), config_file))
    for folder in FOLDERS:
        if not (source / folder).is_dir():
            raise BadArchive(f"{source / folder} is not a folder")
        found += _below(source, source / folder)
    for entry in found:
        # A link may point out of the checkout, at something that the archive would not hold.
        if not entry.origin.is_file() or (entry.origin.is_symlink() and entry.name.name != CONFIG):
            raise BadArchive(f"{entry.origin} is not a regular file")
    return tuple(sorted(found, key=lambda entry: entry.name))


def _below(source: Path, folder: Path) -> Iterable[Entry]:
    for path in folder.rglob("*"):
        relative = path.relative_to(source)
        if path.is_symlink():
            raise BadArchive(f"{path} is a symbolic link")
        if path.is_file() and path.suffix != ".pyc" and not LEFT_OUT.intersection(relative.parts):
            yield Entry(PurePosixPath(relative.as_posix()), path)


def digest(files: Iterable[tuple[PurePosixPath, bytes]]) -> str:
    """One hash over names and contents, in the order given: the same archive has the same hash."""
    total = hashlib.sha256()
    for name, content in files:
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
