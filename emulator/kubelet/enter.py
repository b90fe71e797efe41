"""Runs a command inside of a container that runs already.

    python -I -S enter.py PID UID GID COMMAND...

Becomes the account that the container is of, joins the namespaces of process PID, gives up all capabilities, and
executes. Needs nothing but the standard library: it
is started by path.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys
from collections.abc import Sequence

# https://man7.org/linux/man-pages/man2/ioctl_nsfs.2.html
NS_GET_PARENT = 0xB702
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
LINUX_CAPABILITY_VERSION_3 = 0x20080522

_LIBC = ctypes.CDLL(None, use_errno=True)


def main(pid: str, uid: int, gid: int, command: Sequence[str]) -> int:
    """Run *command* and return its exit code as a shell would."""
    join(pid, uid, gid)
    # A process stays in its pid namespace; its children are born in the new one.
    child = os.fork()
    if child:
        return exit_code(os.waitpid(child, 0)[1])
    os.chdir("/")
    renounce()
    try:
        os.execvp(command[0], list(command))
    except OSError:
        os._exit(126)


def join(pid: str, uid: int, gid: int) -> None:
    """Become the account, where we are root, and join the namespaces of a process. Raises OSError."""
    folder = f"/proc/{pid}/ns"
    outer, inner = _user_namespaces(f"{folder}/user")
    others = [os.open(f"{folder}/{name}", os.O_RDONLY) for name in ("ipc", "uts", "pid", "mnt")]
    become(uid, gid)
    # Bubblewrap makes the namespaces in one user namespace, and runs the command in one below it, as another user.
    for fd in (*outer, *others, *inner):
        _check(_LIBC.setns(fd, 0))
    for fd in (*outer, *others, *inner):
        os.close(fd)


def become(uid: int, gid: int) -> None:
    """Be another user for good, where we are root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def _user_namespaces(path: str) -> tuple[list[int], list[int]]:
    """The user namespace that owns the container, and the one below it that its command is in, if there are two."""
    inner = os.open(path, os.O_RDONLY)
    outer = fcntl.ioctl(inner, NS_GET_PARENT)
    ours = os.fstat(outer).st_ino == os.stat("/proc/self/ns/user").st_ino
    return ([inner], []) if ours else ([outer], [inner])


def renounce() -> None:
    """Give up all capabilities, and the hope of getting any."""
    for capability in range(64):
        # Those that the kernel does not know, or that are not ours to drop, stay without an effect.
        _LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    _check(_LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    header, nothing = struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0), bytes(24)
    _check(_LIBC.capset(header, nothing))


def exit_code(status: int) -> int:
    """From what waiting for a process gave, its exit code as a shell would tell it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
