"""Memory and CPU limits by control groups, of either version, where this machine lets us make them.

https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    memory_bytes: int | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The groups of one container: one folder, or with version 1 one per controller."""

    folders: tuple[Path, ...]

    @property
    def process_files(self) -> tuple[str, ...]:
        """Writing a process id to each of these moves the process in."""
        return tuple(str(folder / "cgroup.procs") for folder in self.folders)

    def oom_kills(self) -> int:
        """How many processes the kernel killed for want of memory."""
        counts = (
            _counter(folder / name) for folder in self.folders for name in ("memory.events", "memory.oom_control")
        )
        return max(counts, default=0)

    def remove(self) -> None:
        """Kill what is left inside, and remove the groups."""
        for folder in self.folders:
            _remove(folder)


class Cgroups:
    """Where this kubelet may make groups: a folder of version 2, or one per controller of version 1."""

    def __init__(self, parents: dict[str, Path]) -> None:
        self._parents = parents

    def create(self, name: str, limits: Limits) -> Cgroup | None:
        """Make the groups of one container; None when the kernel refuses."""
        folders = []
        try:
            for parent in dict.fromkeys(self._parents.values()):
                folder = parent / name
                folder.mkdir(parents=True, exist_ok=True)
                folders.append(folder)
                _limit(folder, limits)
        except OSError as error:
            log.warning("no limits for %s: %s", name, error)
            Cgroup(tuple(folders)).remove()
            return None
        return Cgroup(tuple(folders))

    def find(self, name: str) -> Cgroup | None:
        """The groups of a container that a kubelet before this one made."""
        folders = [parent / name for parent in dict.fromkeys(self._parents.values())]
        return Cgroup(tuple(folders)) if all(folder.is_dir() for folder in folders) else None

    def remove_all(self, *, but: frozenset[str] = frozenset()) -> None:
        """Remove every group below ours *but* those of these names, with what may have been left running in them."""
        for parent in self._parents.values():
            for folder in parent.iterdir():
                if folder.is_dir() and folder.name not in but:
                    _remove(folder)

    def close(self) -> None:
        self.remove_all()
        for parent in dict.fromkeys(self._parents.values()):
            _remove(parent)


def find_cgroups(
    name: str, *, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> Cgroups | None:
    """Return where to make groups, in a parent called *name*; None, with a line in the log, where that cannot be."""
    try:
        version = _version_2 if (root / "cgroup.controllers").exists() else _version_1
        parents = version(name, root, own)
    except OSError as error:
        log.warning("memory and cpu limits are not enforced: %s", error)
        return None
    return Cgroups(parents)


def _version_1(name: str, root: Path, own: Path) -> dict[str, Path]:
    mine = dict(_controllers(line) for line in own.read_text().splitlines())
    parents = {}
    for controller in ("memory", "cpu"):
        base = root / controller / mine.get(controller, "").strip("/")
        parents[controller] = (base if base.is_dir() else root / controller) / name
        parents[controller].mkdir(exist_ok=True)
    return parents


def _controllers(line: str) -> tuple[str, str]:
    _, controllers, path = line.split(":", 2)
    return controllers.split(",")[0], path


def _version_2(name: str, root: Path, own: Path) -> dict[str, Path]:
    """In the outermost group around ours that we may write to: the root, or what systemd delegates to a user.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#delegation
    """
    mine = next(line.split(":", 2)[2] for line in own.read_text().splitlines() if line.startswith("0:"))
    around = [root / mine.strip("/"), *(root / mine.strip("/")).parents]
    for folder in reversed([each for each in around if each.is_relative_to(root)]):
        if os.access(folder / "cgroup.procs", os.W_OK) and os.access(folder, os.W_OK):
            return {"": _with_controllers(folder, name)}
    raise PermissionError(f"none of the groups around {root / mine.strip('/')} is ours to write to")


def _with_controllers(folder: Path, name: str) -> Path:
    offered = {"memory", "cpu"} & set((folder / "cgroup.controllers").read_text().split())
    if "memory" not in offered:
        raise OSError(f"{folder} has no memory controller")
    # A group with limits for others has no processes itself, but for the root; ours is a child that has none.
    parent = folder / name
    parent.mkdir(exist_ok=True)
    for each in (folder, parent):
        (each / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in sorted(offered)))
    return parent


def _limit(folder: Path, limits: Limits) -> None:
    memory = None if limits.memory_bytes is None else str(limits.memory_bytes)
    quota = None if limits.cpus is None else max(1000, int(limits.cpus * _PERIOD_US))
    _write(folder / "memory.limit_in_bytes", memory)
    _write(folder / "memory.max", memory)
    _write(folder / "memory.swap.max", None if memory is None else "0")
    _write(folder / "cpu.cfs_quota_us", None if quota is None else str(quota))
    _write(folder / "cpu.max", None if quota is None else f"{quota} {_PERIOD_US}")


def _write(file: Path, value: str | None) -> None:
    if value is not None and file.exists():
        file.write_text(value)


def _counter(file: Path) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(" ", 1) for line in lines if " " in line)
    return int(counts.get("oom_kill", 0))


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    try:
        folder.rmdir()
    except OSError as error:
        log.debug("%s stays for now: %s", folder, error)
