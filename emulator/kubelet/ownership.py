"""Files that the kubelet makes for containers, and what containers may reach; only root has to think of it.

Strangers' code wrote into some of these folders. Links in them are never followed.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from emulator.kubelet.identity import User


def give(path: Path, owner: User | None) -> None:
    """Make *owner* own *path* and all that is in it; None: everything is ours already, and stays."""
    if owner is None:
        return
    _give(path, owner)
    if path.is_symlink() or not path.is_dir():
        return
    for _, folders, files, fd in os.fwalk(path):
        for name in (*folders, *files):
            os.chown(name, owner.uid, owner.gid, dir_fd=fd, follow_symlinks=False)


def adopt(path: Path, owner: User | None) -> None:
    """The same for a folder that is kept: only while it is root's, so that it is done once."""
    if path.lstat().st_uid == 0:
        give(path, owner)


def make_inside(folder: Path, parts: Sequence[str], *, is_file: bool = False, owner: User | None) -> None:
    """Make the folders *parts* inside of each other in *folder*, the last one a file if *is_file*.

    What else has such a name, a link above all, gives way. A container may be at work in there: nothing is looked up
    by a path that it could change meanwhile.
    """
    with _opened(folder) as fd:
        for index, part in enumerate(parts):
            last_is_file = is_file and index == len(parts) - 1
            if not _stays(part, fd, stat.S_ISREG if last_is_file else stat.S_ISDIR):
                _make(part, fd, is_file=last_is_file, owner=owner)
            if not last_is_file:
                _enter(part, fd)


def _stays(name: str, fd: int, is_right: Callable[[int], bool]) -> bool:
    """Whether *name* is there as it must be; otherwise it is there no more."""
    try:
        mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    if is_right(mode):
        return True
    if stat.S_ISDIR(mode):
        shutil.rmtree(name, dir_fd=fd)
    else:
        os.unlink(name, dir_fd=fd)
    return False


def _make(name: str, fd: int, *, is_file: bool, owner: User | None) -> None:
    if is_file:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=fd))
    else:
        os.mkdir(name, 0o755, dir_fd=fd)
    if owner is not None:
        os.chown(name, owner.uid, owner.gid, dir_fd=fd, follow_symlinks=False)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor that stands for *folder*, to be moved by _enter; no link leads to it."""
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folder.parts[1:]:
            _enter(part, fd)
        yield fd
    finally:
        os.close(fd)


def _enter(name: str, fd: int) -> None:
    inside = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
    os.dup2(inside, fd, inheritable=False)
    os.close(inside)


def closed_to(path: Path, user: User) -> Path | None:
    """The outermost folder on the way to *path* that *user* may not enter, or None."""
    for folder in reversed(path.parents):
        try:
            found = folder.stat()
        except OSError:
            return None
        if stat.S_ISDIR(found.st_mode) and not found.st_mode & _search_bit(found, user):
            return folder
    return None


def _search_bit(found: os.stat_result, user: User) -> int:
    if found.st_uid == user.uid:
        return stat.S_IXUSR
    return stat.S_IXGRP if found.st_gid == user.gid else stat.S_IXOTH


def _give(path: Path, owner: User) -> None:
    os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
