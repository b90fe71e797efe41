"""Where the outermost process of a container is reached: a socket beside the container's record, where only we can go.

It is named through the folder's descriptor: the names of sockets are short, and every process can read them in
/proc/net/unix.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WAITING = 16


def open_door(path: Path) -> socket.socket:
    """Return the socket that listens at *path*, where there may be one of an earlier run. Raises OSError."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    try:
        with _short(path) as name:
            door.bind(name)
            os.chmod(name, 0o600)
        door.listen(_WAITING)
    except BaseException:
        door.close()
        raise
    return door


def knock(path: Path) -> socket.socket:
    """Return a connection with who listens at *path*. Raises OSError, when nobody does above all."""
    visit = socket.socket(socket.AF_UNIX)
    visit.setblocking(False)
    try:
        with _short(path) as name:
            visit.connect(name)
    except BaseException:
        visit.close()
        raise
    return visit


@contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
