"""Runs a container's command where there is no bubblewrap, and takes all its descendants down with it.

    python -I -S shim.py PARENT STATUS_FD SPEC_FD

The specification is JSON: `argv`, `environment`, `cwd` and `user` (uid and gid, or null to stay who we are). Lines of
JSON on STATUS_FD tell `child-pid`, and then `exit-code` or `error`, as bubblewrap's do. SIGTERM is passed on; SIGHUP,
or the end of the parent, kills everything. Needs nothing but the standard library: it is started by path.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def main(parent: int, status_fd: int, spec_fd: int) -> int:
    """Run the command and return its exit code as a shell would."""
    with os.fdopen(spec_fd) as file:
        spec: dict[str, Any] = json.load(file)
    _die_with(parent)
    with os.fdopen(status_fd, "w", buffering=1) as status:
        try:
            child = subprocess.Popen(
                spec["argv"],
                env=spec["environment"],
                cwd=spec["cwd"],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                **_as(spec["user"]),
            )
        except OSError as error:
            status.write(json.dumps({"error": f"exec: {spec['argv'][0]!r}: {error.strerror}"}) + "\n")
            return 128
        signal.signal(signal.SIGTERM, lambda *_: _signal_group(child.pid, signal.SIGTERM))
        status.write(json.dumps({"child-pid": child.pid}) + "\n")
        code = _wait_for(child.pid)
        kill_descendants()
        status.write(json.dumps({"exit-code": code}) + "\n")
    return code


def _as(user: Sequence[int] | None) -> dict[str, Any]:
    if user is None:
        return {}
    uid, gid = user
    # /dev/stdout and /dev/stderr are opened by path, by whoever owns the pipe.
    for output in (1, 2):
        os.fchown(output, uid, gid)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return {"user": uid, "group": gid, "extra_groups": ()}


def _die_with(parent: int) -> None:
    signal.signal(signal.SIGHUP, _die)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:
        _die()


def _die(*_: object) -> None:
    kill_descendants()
    os._exit(128 + signal.SIGKILL)


def _wait_for(pid: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def kill_descendants() -> None:
    """Kill until nothing is left: what forks meanwhile is a descendant still, since orphans come to us."""
    while pids := _descendants(os.getpid()):
        for pid in pids:
            _kill(pid)
        _reap()


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        born = children.get(queue.pop(), [])
        found += born
        queue += born
    return found


def _parent(entry: Path) -> int | None:
    try:
        fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
