"""Secrets that came in the environment, kept from the code of strangers that runs below us.

Protected: the environment that children inherit, and what `/proc/<our pid>/environ` shows (its memory is overwritten).
A process of another user, or of ours without privileges, cannot read our memory either. Not protected: our memory from
root, and the environment of whatever started us; bubblewrap's own process namespace hides both (confinement.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import MutableMapping

_PR_SET_DUMPABLE = 4


def take(name: str, environ: MutableMapping[str, str]) -> str:
    """Return the secret and remove every trace of it from our environment; empty when there is none."""
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    # Removing a variable only forgets where it is. The text itself stays readable in /proc/<pid>/environ.
    if address := libc.getenv(name.encode()):
        ctypes.memset(address, 0, len(ctypes.string_at(address)))
    # https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return environ.pop(name, "")
