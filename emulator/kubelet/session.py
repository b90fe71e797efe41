"""Runs a command that somebody asked for, inside of a container that runs already, and ends it with who asked.

    main PARENT SPEC_FD STATUS_FD

The specification is JSON: `argv`, `environment`, `cwd`; `pid`, a process of the container whose namespaces are joined,
or null where there are none; `user` (uid and gid) to become if we are root, or null; `groups`, the files that a process
joins the container's control groups by; `tty`, whether standard input is a terminal. A line of JSON on STATUS_FD tells
that the command runs (`{}`), or why not (`error`). The exit code is the command's, as a shell would tell it.

SIGHUP, or the end of PARENT, ends the command and all that it started. What it leaves behind when it ends by itself
lives on as part of the container, where that has a process of its own to look after it. Needs nothing but the standard
library.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import termios
from collections.abc import Sequence
from typing import Any

from emulator.kubelet.descent import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, heed_signals, kill_descendants
from emulator.kubelet.enter import become, exit_code, join, renounce

PR_SET_DUMPABLE = 4
HUNG_UP = 128 + signal.SIGHUP
# What a process in a pid namespace is told of a parent outside of it.
OUTSIDE = 0

_LIBC = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parent, spec_fd, status = map(int, arguments)
    with os.fdopen(spec_fd) as file:
        spec: dict[str, Any] = json.load(file)
    os.set_inheritable(status, False)
    for group in spec["groups"]:
        with open(group, "w") as processes:
            processes.write("0")
    heed_signals()
    uid, gid = spec["user"] or (os.getuid(), os.getgid())
    if spec["pid"] is None:
        become(uid, gid)
        renounce()
        _end_with(parent)
        return _attend(spec, status)
    join(str(spec["pid"]), uid, gid)
    renounce()
    # Processes of the container are the same user as we, and must not get at the machine's programs through us.
    _LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    _end_with(parent)
    child = os.fork()
    if child:
        os.close(status)
        return exit_code(os.waitpid(child, 0)[1])
    _end_with(OUTSIDE)
    os._exit(_attend(spec, status))


def _end_with(parent: int) -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(HUNG_UP)


def _attend(spec: dict[str, Any], status: int) -> int:
    """Run the command as our child, and be there for its orphans as long as it lasts."""
    signal.signal(signal.SIGHUP, _hang_up)
    _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with os.fdopen(status, "w") as told:
        try:
            command = subprocess.Popen(
                spec["argv"],
                env=spec["environment"],
                cwd=spec["cwd"],
                start_new_session=True,
                preexec_fn=_take_terminal if spec["tty"] else None,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or str(error)
            told.write(json.dumps({"error": f'exec: "{spec["argv"][0]}": {why}'}))
            return 126
        told.write("{}")
    code = _wait_for(command.pid)
    if spec["pid"] is None:
        kill_descendants()
    return code


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _wait_for(pid: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == pid:
            return exit_code(status)


def _hang_up(*_: object) -> None:
    kill_descendants()
    os._exit(HUNG_UP)
