"""Where on the disk large folders come to lie."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

# https://man7.org/linux/man-pages/man2/ioctl_iflags.2.html
_GET_FLAGS = 0x80086601
_SET_FLAGS = 0x40086602
_TOP_OF_HIERARCHIES = 0x00020000


def spread(folder: Path) -> None:
    """Have what is made in *folder* from now on lie far apart on the disk; a file system without that is fine.

    Ext4 puts folders beside each other, and for minutes avoids the inodes of files that were removed there, looking at
    each of them for every file that is made: after a build has removed its 27,000 files, restoring as many took 11 s
    rather than 4.
    """
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            (flags,) = struct.unpack("I", fcntl.ioctl(fd, _GET_FLAGS, bytes(4)))
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("I", flags | _TOP_OF_HIERARCHIES))
        finally:
            os.close(fd)
