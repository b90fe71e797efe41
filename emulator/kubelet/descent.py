"""Processes and what they start, for the outermost process of a container: imports next to nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_BETWEEN_ROUNDS_S = 0.002
_LIBC = ctypes.CDLL(None)


def prctl(option: int, value: int) -> None:
    """https://man7.org/linux/man-pages/man2/prctl.2.html"""
    _LIBC.prctl(option, value, 0, 0, 0)


def heed_signals() -> None:
    """Let the signals of a terminal end what is started from here. A shell has what it starts in the background ignore
    them, and a kubelet there would pass that on to every container."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start_time(pid: int) -> int | None:
    """When process *pid* started, in clock ticks since the machine did; None when it does not run (any more).

    Number and start time together are one process for good: numbers are used again."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def name_of(pid: int) -> str:
    """What process *pid* is called; empty when it does not run any more."""
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """The children of the only thread of *pid*."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(each) for each in file.read().split()]
    except OSError:
        return []


def kill_descendants() -> None:
    """Kill until nothing is left: what forks meanwhile is a descendant still, since orphans come to us."""
    while pids := _descendants(os.getpid()):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_BETWEEN_ROUNDS_S)


def _descendants(root: int) -> list[int]:
    """The living ones: who has only an exit status left needs no more killing."""
    born: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (fields := _stat(int(name))) is not None:
            born.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    queue = [root]
    while queue:
        mine = born.get(queue.pop(), [])
        found += mine
        queue += mine
    return [pid for pid in found if start_time(pid) is not None]


def _stat(pid: int) -> list[str] | None:
    """The fields after the name in parentheses, which may contain anything.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None
