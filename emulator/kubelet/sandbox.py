"""From the description of a sandbox to the options of bubblewrap. Pure: the machine's folders come in as a Tree.

The new root is an empty file system on which the entries of the machine's root are mounted read-only, so that a mount
point can be made wherever a pod asks for one. What lies deeper is mounted later: a hidden folder hides all of a visible
one's content below it, and a visible one shows through a hidden one above it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from emulator.kubelet.identity import JOVYAN, User
from emulator.kubelet.names import within

# Folders of the machine's root that a container gets empty or as its own.
REPLACED = ("dev", "home", "proc", "run", "tmp")

# Links of the machine that lead to links; more is a loop.
_LONGEST_CHAIN = 4

# From a source, and whether it is read-only, to the option that mounts it and that option's own words for the source.
Bind = Callable[[str, bool], tuple[str, str]]


class Kind(StrEnum):
    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    NOTHING = "nothing"


class Tree(Protocol):
    """A machine's file system, as far as it must be known."""

    def kind(self, path: str) -> Kind: ...

    def entries(self, path: str) -> Sequence[str]:
        """The names in a folder; none if it cannot be read."""
        ...

    def link(self, path: str) -> str:
        """Where a symbolic link points."""
        ...


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the machine as the container sees it."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """*mounts* are seen, *hidden* folders are empty, *masked* files are empty; the rest of the machine is read-only.

    *user* is whom the container sees itself as.
    """

    hostname: str
    working_dir: str
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    hidden: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    user: User = JOVYAN


def by_path(source: str, read_only: bool) -> tuple[str, str]:
    """Have *source* mounted from where it is when bubblewrap comes to it."""
    return ("--ro-bind" if read_only else "--bind", source)


def bubblewrap_options(sandbox: Sandbox, tree: Tree, bind: Bind = by_path) -> list[str]:
    """Return the options that make *sandbox*; the command is still to follow. *bind* is asked once for every mount.

    They hold the whole environment, so pass them with `--args`, where no other user can read them.
    """
    layers = _layers(sandbox, tree)
    options = [*_ISOLATED, "--uid", str(sandbox.user.uid), "--gid", str(sandbox.user.gid)]
    options += ["--hostname", sandbox.hostname, "--clearenv"]
    for name, value in sandbox.environment.items():
        options += ["--setenv", name, value]
    options += ["--tmpfs", "/"]
    for layer in layers:
        options += layer.options(bind)
    # Nothing is mounted over parts of /proc: the kernel would let no sandbox inside of this one have its own. That the
    # kernel's settings cannot be written is due to who the container is, which is never root.
    options += ["--dev", "/dev", "--proc", "/proc"]
    options += _in_dev(sandbox, bind)
    # An empty file system that could be written to would be memory that nobody counts.
    for layer in layers:
        if isinstance(layer, _Empty):
            options += ["--remount-ro", layer.target]
    return [*options, "--remount-ro", "/", "--chdir", sandbox.working_dir]


_ISOLATED = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)


@dataclass(frozen=True, slots=True)
class _Bound:
    source: str
    target: str
    read_only: bool

    def options(self, bind: Bind) -> list[str]:
        return [*bind(self.source, self.read_only), self.target]


@dataclass(frozen=True, slots=True)
class _Linked:
    source: str
    target: str

    def options(self, bind: Bind) -> list[str]:
        return ["--symlink", self.source, self.target]


@dataclass(frozen=True, slots=True)
class _Empty:
    target: str

    def options(self, bind: Bind) -> list[str]:
        return ["--tmpfs", self.target]


_Layer = _Bound | _Linked | _Empty


def _layers(sandbox: Sandbox, tree: Tree) -> list[_Layer]:
    layers = {each.target: each for each in _root(tree)}
    asked: list[_Layer] = [_Empty("/home"), _Empty("/run")]
    asked += [_Empty(path) for path in sandbox.hidden if tree.kind(path) is Kind.FOLDER]
    masked = [path for path in sandbox.masked if tree.kind(path) is Kind.FILE and not within(path, sandbox.hidden)]
    asked += [_Bound("/dev/null", path, True) for path in masked]
    asked += [_Bound(m.source, m.target, m.read_only) for m in sandbox.mounts if not _is_in_dev(m.target)]
    for layer in sorted(asked, key=lambda each: _depth(each.target)):
        target = layer.target
        for _ in range(_LONGEST_CHAIN):
            target = _canonical(target, layers, tree)
        for extra in _mount_point(target, layers, tree):
            layers[extra.target] = extra
        layers.pop(target, None)
        layers[target] = _at(layer, target)
    return sorted(layers.values(), key=lambda each: _depth(each.target))


def _root(tree: Tree) -> Iterable[_Layer]:
    return (each for each in _children("/", tree) if each.target.strip("/") not in REPLACED)


def _children(folder: str, tree: Tree) -> Iterable[_Layer]:
    for name in tree.entries(folder):
        path = posixpath.join(folder, name)
        match tree.kind(path):
            case Kind.LINK:
                yield _Linked(tree.link(path), path)
            case Kind.FOLDER | Kind.FILE:
                yield _Bound(path, path, True)
            case Kind.NOTHING:
                continue


def _mount_point(target: str, layers: Mapping[str, _Layer], tree: Tree) -> Iterable[_Layer]:
    """What must be mounted first so that *target* can be: a folder of the machine without it becomes an empty one
    with the same entries."""
    below = _covering(target, layers)
    if not isinstance(below, _Bound) or below.source != below.target or not below.read_only:
        return
    if tree.kind(target) is not Kind.NOTHING:
        return
    folder = posixpath.dirname(target)
    while tree.kind(folder) is Kind.NOTHING:
        folder = posixpath.dirname(folder)
    yield _Empty(folder)
    yield from (each for each in _children(folder, tree) if each.target not in layers)


def _covering(target: str, layers: Mapping[str, _Layer]) -> _Layer | None:
    folder = target
    while folder != "/":
        folder = posixpath.dirname(folder)
        if folder in layers:
            return layers[folder]
    return None


def _canonical(path: str, layers: Mapping[str, _Layer], tree: Tree) -> str:
    """Follow the machine's own symbolic links (`/var/run`), which bubblewrap would follow outside of the new root."""
    resolved = "/"
    parts = path.strip("/").split("/")
    for index, part in enumerate(parts):
        candidate = posixpath.join(resolved, part)
        below = layers.get(candidate) or _covering(candidate, layers)
        if isinstance(below, _Empty) or (isinstance(below, _Bound) and below.source != below.target):
            return posixpath.join(resolved, *parts[index:])
        if tree.kind(candidate) is Kind.LINK and candidate.strip("/") not in REPLACED:
            candidate = posixpath.normpath(posixpath.join(resolved, tree.link(candidate)))
        resolved = candidate
    return resolved


def _at(layer: _Layer, target: str) -> _Layer:
    match layer:
        case _Bound(source, _, read_only):
            return _Bound(source, target, read_only)
        case _Linked(source, _):
            return _Linked(source, target)
        case _Empty():
            return _Empty(target)


def _depth(path: str) -> int:
    return 0 if path == "/" else path.count("/")


def _is_in_dev(path: str) -> bool:
    return path == "/dev" or path.startswith("/dev/")


def _in_dev(sandbox: Sandbox, bind: Bind) -> list[str]:
    bound = [_Bound(each.source, each.target, each.read_only) for each in sandbox.mounts if _is_in_dev(each.target)]
    return [option for each in bound for option in each.options(bind)]


class Machine:
    """The Tree of this machine."""

    def kind(self, path: str) -> Kind:
        target = Path(path)
        try:
            if target.is_symlink():
                return Kind.LINK
            if target.is_dir():
                return Kind.FOLDER
            return Kind.FILE if target.exists() else Kind.NOTHING
        except OSError:
            return Kind.NOTHING

    def entries(self, path: str) -> Sequence[str]:
        try:
            return sorted(each.name for each in Path(path).iterdir())
        except OSError:
            return ()

    def link(self, path: str) -> str:
        return str(Path(path).readlink())
