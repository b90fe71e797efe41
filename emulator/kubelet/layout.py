"""Where the kubelet keeps what: its state folder, and what of the machine containers see or do not."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.images.placement import spread
from emulator.images.references import NOWHERE
from emulator.kubelet.names import log_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The state folder, with paths of checked names only; and the machine's folders as containers see them.

    *visible* folders are read-only for every container, *hidden* ones empty, *masked* files empty.
    """

    state: Path
    visible: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    masked: tuple[Path, ...] = ()
    allowed_host_paths: tuple[Path, ...] = ()

    @property
    def pods(self) -> Path:
        return self.state / "pods"

    @property
    def claims(self) -> Path:
        """Folders that outlive pods."""
        return self.state / "claims"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def runs(self) -> Path:
        """What is known of containers' newest runs: not with their pods, where containers without a sandbox write."""
        return self.state / "runs"

    def make(self, *, passable: bool) -> None:
        """Make the state folder, which only its owner may list, and nobody else pass unless it is *passable*."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o711 if passable else 0o700)
        for folder, mode in ((self.pods, 0o711), (self.claims, 0o711), (self.logs, 0o700), (self.runs, 0o700)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        spread(self.pods)

    def pod(self, pod: Mapping[str, Any]) -> Path:
        return self.pods / str(pod["metadata"]["uid"])

    def volume(self, pod: Mapping[str, Any], name: str) -> Path:
        return self.pod(pod) / "volumes" / name

    def container(self, pod: Mapping[str, Any], name: str) -> Path:
        return self.pod(pod) / "containers" / name

    def environment(self, pod: Mapping[str, Any], container: str) -> Path:
        """Where a container has a copy of its environment, if it needs one: a path as long as those of originals."""
        folder, name = self.pod(pod), f"environment-{hashlib.sha256(container.encode()).hexdigest()}"
        return folder / name[: len(str(self.state / "environments" / NOWHERE)) - len(str(folder)) - 1]

    def log(self, pod: Mapping[str, Any], container: str, restart: int) -> Path:
        return self.logs / log_folder(pod) / container / f"{restart}.log"

    def forget(self, pod: Mapping[str, Any]) -> None:
        """Remove everything that is kept of a pod."""
        remove_tree(self.pod(pod))
        remove_tree(self.logs / log_folder(pod))

    def forgotten(self, known: frozenset[str]) -> Iterator[Path]:
        """The folders of pods whose uid is not among *known*."""
        for folder in self.pods.iterdir():
            if folder.name not in known:
                yield folder
        for folder in self.logs.iterdir():
            if folder.name.rpartition("_")[2] not in known:
                yield folder


def hidden_folders(state: Path, home: Path) -> tuple[Path, ...]:
    """What no container may see: the folder of the whole stack's state, and the home of whoever runs it."""
    folders = [state]
    if state.parent != Path(state.anchor):
        folders.append(state.parent)
    if home.is_dir() and home != Path(home.anchor):
        folders.append(home)
    return tuple(folders)


def remove_tree(folder: Path) -> None:
    """Remove a folder that strangers wrote into, also where they took away our permission to."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
