"""What a figure was measured on, and how memory is counted."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median

PACKAGES = (
    "functions-framework",
    "flask",
    "gunicorn",
    "jupyterhub",
    "jupyterhub-kubespawner",
    "jupyter-repo2docker",
    "kubernetes",
)


def describe() -> str:
    """Processor, cores, memory, load and versions, on a few lines."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?: ?").partition(": ")[2]
    memory_kib = int(next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")).split()[1])
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{model}, {os.cpu_count()} cores, {memory_kib / 2**20:.0f} GiB; load {os.getloadavg()[0]:.1f} at the start\n"
        f"{platform.platform()}, Python {platform.python_version()}\n{packages}"
    )


def pss_mib(pid: int) -> float:
    """Proportional set size of one process: shared pages counted once, divided among those who share them."""
    for line in _lines(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid: int) -> float:
    """User and system time of one process so far, without its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and everything it has started."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = "".join(_lines(str(folder / "stat"))).rpartition(")")[2].split()
        if fields:
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(parent := waiting.pop())
        waiting.extend(children.get(parent, []))
    return found


def spread(seconds: list[float]) -> str:
    """Median, minimum and maximum."""
    return f"{median(seconds):6.2f} s  ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} runs)"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
