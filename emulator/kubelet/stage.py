"""Starts bubblewrap as an unprivileged account, for a kubelet that is root.

    python -I -S stage.py UID GID SOURCES_FD COMMAND...

Bubblewrap can mount only what the account can reach by its path, and the folders of pods lie below some that it may not
enter. So root mounts each of the sources (a JSON list of paths) under a number in STAGE, where only this process and
what it starts sees it, then becomes the account for good, and executes. Needs nothing but the standard library: it is
started by path.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import sys
from collections.abc import Sequence

# Containers have a /run of their own, so that what is covered by the stage is not missed.
STAGE = "/run"

CLONE_NEWNS = 0x00020000
MS_NOSUID = 2
MS_NODEV = 4
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
PR_SET_NO_NEW_PRIVS = 38

_LIBC = ctypes.CDLL(None, use_errno=True)


def main(uid: int, gid: int, sources_fd: int, command: list[str]) -> int:
    """Does not return if all goes well."""
    with os.fdopen(sources_fd) as file:
        sources: list[str] = json.load(file)
    try:
        _check(_LIBC.unshare(CLONE_NEWNS), "unshare")
        _mount("none", "/", MS_REC | MS_PRIVATE)
        _stage(sources)
        _become(uid, gid)
        # Python ignores it, and what is executed would go on to: `yes | head` is to end quietly.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"the sandbox cannot be prepared: {error}\n")
        return 1


def staged(number: int) -> str:
    """Where the source of that number is."""
    return f"{STAGE}/{number}"


def _stage(sources: Sequence[str]) -> None:
    # Opened before one of them can be covered by the stage.
    opened = [open_source(source) for source in sources]
    _mount("none", STAGE, MS_NOSUID | MS_NODEV, b"tmpfs", b"mode=0711,size=1m")
    for number, fd in enumerate(opened):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.mkdir(staged(number))
        else:
            os.close(os.open(staged(number), os.O_CREAT | os.O_EXCL))
        _mount(f"/proc/self/fd/{fd}", staged(number), MS_BIND | MS_REC)
        os.close(fd)


def open_source(path: str) -> int:
    """Open what is there, and not what a link leads to: another container of the pod could have put one there."""
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY)
    for name in path.strip("/").split("/"):
        try:
            inside = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inside
        if stat.S_ISLNK(os.fstat(folder).st_mode):
            os.close(folder)
            raise OSError(f"{path} leads over a symbolic link")
    return folder


def _become(uid: int, gid: int) -> None:
    # /dev/stdout and its like are opened by path, by whoever owns the pipe or the terminal.
    for stream in range(3):
        if stat.S_ISFIFO(os.fstat(stream).st_mode) or os.isatty(stream):
            os.fchown(stream, uid, gid)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _check(_LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def _mount(source: str, target: str, flags: int, kind: bytes | None = None, options: bytes | None = None) -> None:
    done = _LIBC.mount(os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), options)
    _check(done, f"mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
