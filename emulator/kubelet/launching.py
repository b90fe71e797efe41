"""From an image, a container's spec and its pod's volumes to what is executed, and in which sandbox."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulator.images import PulledImage
from emulator.kubelet.cgroups import Limits
from emulator.kubelet.identity import HOME, NAME, User, group_file, passwd_file, user_of
from emulator.kubelet.layout import Layout, remove_tree
from emulator.kubelet.logs import LogOptions, read_log
from emulator.kubelet.names import mount_path
from emulator.kubelet.ownership import give
from emulator.kubelet.quantity import parse_quantity
from emulator.kubelet.sandbox import Mount, Sandbox
from emulator.kubelet.volumes import make_mount_points

DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": HOME}
# As container runtimes have it, whatever the client's is.
TERMINAL = {"TERM": "xterm"}
TERMINATION_LOG = "/dev/termination-log"
# What of a log may be a message, as in Kubernetes.
_LOG_LINES, _LOG_BYTES = 80, 2048
_HOME = re.compile(re.escape(HOME) + r"(?=$|[/:])")
_LONGEST_MESSAGE_BYTES = 4096
# Mounts that every container has.
_OWN = (HOME, "/tmp", "/var/tmp", "/etc/hosts", "/etc/passwd", "/etc/group", TERMINATION_LOG)


@dataclass(frozen=True, slots=True)
class ContainerFolder:
    """What one run of a container has for itself on disk; *environment* is there only where it cannot share one."""

    path: Path
    environment: Path

    @classmethod
    def of(cls, pod: Mapping[str, Any], container: str, layout: Layout) -> ContainerFolder:
        return cls(layout.container(pod, container), layout.environment(pod, container))

    @property
    def home(self) -> Path:
        return self.path / "home"

    @property
    def tmp(self) -> Path:
        return self.path / "tmp"

    @property
    def var_tmp(self) -> Path:
        return self.path / "var-tmp"

    @property
    def termination_log(self) -> Path:
        return self.path / "termination-log"

    @property
    def hosts(self) -> Path:
        return self.path / "hosts"

    @property
    def passwd(self) -> Path:
        return self.path / "passwd"

    @property
    def group(self) -> Path:
        return self.path / "group"

    def make(self, image: PulledImage, *, hosts: str, user: User, owner: User | None) -> None:
        """Begin anew, with a copy of the image's home folder; what the container may write belongs to *owner*."""
        remove_tree(self.path)
        self.path.mkdir(parents=True)
        shutil.copytree(image.home, self.home, symlinks=True)
        for path in (self.home, *self.home.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o700 if path.is_dir() else 0o600))
        for folder in (self.tmp, self.var_tmp):
            folder.mkdir()
            folder.chmod(0o1777)
        self.termination_log.touch()
        for path in (self.home, self.tmp, self.var_tmp, self.termination_log):
            give(path, owner)
        self.hosts.write_text(hosts)
        shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
        self.passwd.write_text(passwd_file(_text("/etc/passwd"), user, shell=shell))
        self.group.write_text(group_file(_text("/etc/group"), user))

    def remove(self) -> None:
        remove_tree(self.path)
        remove_tree(self.environment)

    def termination_message(self) -> str:
        """The end of what the container wrote to its file for that."""
        try:
            with self.termination_log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_MESSAGE_BYTES))
                return file.read(_LONGEST_MESSAGE_BYTES).decode(errors="replace")
        except OSError:
            return ""


async def end_of_log(log: Path) -> str:
    """The end of a log, which stands in for the message of a container that failed without one.

    https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
    """
    said = bytearray()
    async for piece in read_log(log, LogOptions(tail_lines=_LOG_LINES)):
        said = (said + piece)[-_LOG_BYTES:]
    return said.decode(errors="replace")


def environment_of(image: PulledImage, pod: Mapping[str, Any], own: Mapping[str, str], *, tty: bool) -> dict[str, str]:
    """The whole environment: what the spec says counts more than what the image says."""
    return DEFAULTS | (TERMINAL if tty else {}) | image.env | {"HOSTNAME": host_name(pod)} | dict(own)


def sandbox_of(
    container: Mapping[str, Any],
    *,
    image: PulledImage,
    pod: Mapping[str, Any],
    environment: Mapping[str, str],
    folder: ContainerFolder,
    layout: Layout,
    operator_paths: Sequence[str],
    volumes: Sequence[Mount],
) -> Sandbox:
    """Describe what the container sees: its own home and temporary folders, its environment, its volumes."""
    seen = [*layout.visible, *map(Path, operator_paths), *([image.environment] if image.environment else [])]
    mounts = [
        Mount(str(folder.home), HOME, read_only=False),
        Mount(str(folder.tmp), "/tmp", read_only=False),
        Mount(str(folder.var_tmp), "/var/tmp", read_only=False),
        *(Mount(str(folder.path / name), f"/etc/{name}") for name in ("hosts", "passwd", "group")),
        *(Mount(str(path.resolve()), str(path)) for path in seen if path.exists()),
        *volumes,
        # It may lie in a volume.
        _termination_log(container, folder),
    ]
    return Sandbox(
        hostname=host_name(pod),
        working_dir=container.get("workingDir") or image.working_dir or "/",
        environment=environment,
        mounts=tuple(mounts),
        hidden=tuple(map(str, layout.hidden)),
        masked=tuple(map(str, layout.masked)),
        user=user_of(pod, container),
    )


def _termination_log(container: Mapping[str, Any], folder: ContainerFolder) -> Mount:
    path = container.get("terminationMessagePath") or TERMINATION_LOG
    target = path if path == TERMINATION_LOG else mount_path(path)
    return Mount(str(folder.termination_log), target, read_only=False)


def fitted(
    sandbox: Sandbox, argv: tuple[str, ...], folder: ContainerFolder, *, isolated: bool, owner: User | None
) -> tuple[Sandbox, tuple[str, ...], list[str]]:
    """The sandbox and the command as this machine can have them, and what could not be done."""
    if not isolated:
        return unshut(sandbox, argv, folder)
    sandbox = with_working_dir(sandbox, folder, owner)
    make_mount_points(sandbox.mounts, owner)
    return sandbox, argv, []


def with_working_dir(sandbox: Sandbox, folder: ContainerFolder, owner: User | None) -> Sandbox:
    """Make the working folder where it is not there, as container runtimes do."""
    path = Path(sandbox.working_dir)
    if path.is_relative_to(HOME) and ".." not in path.parts:
        inside = folder.home / path.relative_to(HOME)
        if not inside.exists() and inside.parent.resolve().is_relative_to(folder.home.resolve()):
            inside.mkdir(parents=True)
            give(folder.home, owner)
        return sandbox
    if path.exists() or any(path.is_relative_to(each.target) for each in sandbox.mounts):
        return sandbox
    made = folder.path / "working-dir"
    made.mkdir(exist_ok=True)
    give(made, owner)
    return replace(sandbox, mounts=(*sandbox.mounts, Mount(str(made), str(path), read_only=False)))


def unshut(
    sandbox: Sandbox, argv: Sequence[str], folder: ContainerFolder
) -> tuple[Sandbox, tuple[str, ...], list[str]]:
    """The same for a machine that cannot mount: the home folder is where it is, volumes in it become links.

    Returns what could not be done as well.
    """

    def moved(text: str) -> str:
        return _HOME.sub(str(folder.home), text)

    environment = {name: moved(value) for name, value in sandbox.environment.items()}
    # The account has no name here that programs could ask for.
    environment |= {"TMPDIR": str(folder.tmp), "USER": NAME, "LOGNAME": NAME}
    undone = []
    for mount in sandbox.mounts:
        if mount.target in _OWN or mount.target == mount.source:
            continue
        if mount.target.startswith(HOME + "/"):
            _link(folder.home / mount.target.removeprefix(HOME + "/"), Path(mount.source))
        else:
            undone.append(f"{mount.target} cannot be mounted without bubblewrap")
    working_dir = moved(sandbox.working_dir)
    if not Path(working_dir).is_dir():
        working_dir = str(folder.home)
    return replace(sandbox, environment=environment, working_dir=working_dir), tuple(map(moved, argv)), undone


def limits_of(container: Mapping[str, Any]) -> Limits:
    """The limits in the container's spec. Raises ValueError."""
    limits = (container.get("resources") or {}).get("limits") or {}
    memory, cpus = limits.get("memory"), limits.get("cpu")
    return Limits(
        memory_bytes=None if memory is None else int(parse_quantity(memory)),
        cpus=None if cpus is None else float(parse_quantity(cpus)),
    )


def host_name(pod: Mapping[str, Any]) -> str:
    """What a pod calls itself: what its spec says, else its name, as much of it as a host name may have."""
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63]


def hosts_file(pod: Mapping[str, Any], pod_ip: str) -> str:
    """The machine's own hosts and the pod's name, so that it finds itself."""
    machine = _text("/etc/hosts") or "127.0.0.1 localhost\n"
    return f"{machine.rstrip()}\n{pod_ip} {host_name(pod)}\n"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _link(place: Path, source: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)
    place.symlink_to(source)
