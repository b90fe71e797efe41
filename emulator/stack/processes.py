"""Processes that cannot be mistaken for others: found again by number and start time, ended as whole trees."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LEASH = Path(__file__).with_name("leash.py")

# https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Identity:
    """A process number, and when that process started (clock ticks since boot): numbers are used again."""

    pid: int
    started: int


def identify(pid: int) -> Identity | None:
    """The living process *pid*; None when there is none, or only its exit status is left."""
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; the name in parentheses may contain anything.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Identity(pid, int(fields[19]))


def alive(process: Identity) -> bool:
    return identify(process.pid) == process


def leashed(command: Sequence[str], *, parent: int) -> tuple[str, ...]:
    """The command line that runs *command* until *parent* ends at the latest."""
    return (sys.executable, "-I", "-S", str(LEASH), str(parent), *command)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can get lost."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def descendants(pid: int) -> tuple[Identity, ...]:
    """Every living process that *pid* started, directly or not."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    queue = [pid]
    while queue:
        born = children.get(queue.pop(), [])
        found += born
        queue += born
    return tuple(process for number in found if (process := identify(number)))


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        yield int(entry.name), int(stat.rpartition(")")[2].split()[1])


def send(process: Identity, number: signal.Signals) -> None:
    """Send a signal; a process that has ended meanwhile is fine."""
    if alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def end(processes: Iterable[Identity], *, grace_s: float) -> None:
    """End *processes* and all they started: asked first, killed after *grace_s* seconds."""
    roots = tuple(processes)
    asked = {*roots, *(child for root in roots if alive(root) for child in descendants(root.pid))}
    for process in asked:
        send(process, signal.SIGTERM)
    if not _gone(asked, within_s=grace_s):
        late = {*asked, *(child for one in asked if alive(one) for child in descendants(one.pid))}
        for process in late:
            send(process, signal.SIGKILL)
        _gone(late, within_s=2)


def _gone(processes: Iterable[Identity], *, within_s: float) -> bool:
    waiting = set(processes)
    deadline = time.monotonic() + within_s
    while waiting := {process for process in waiting if alive(process)}:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def reap_orphans(own: Iterable[int]) -> None:
    """Take the exit status of adopted processes that have ended, except for *own*, whose waiters want it."""
    mine = set(own)
    for child, parent in tuple(_parents()):
        if parent == os.getpid() and child not in mine and identify(child) is None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
