"""Volumes of a pod as folders of its own, and what of them a container sees."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.kubelet.environment import Downward, Source, Sources, expand, field_value, resource_value
from emulator.kubelet.identity import User
from emulator.kubelet.names import UnsafeName, check_key, mount_path, relative_path, resolve_below
from emulator.kubelet.ownership import adopt, make_inside
from emulator.kubelet.sandbox import Mount

Manifest = Mapping[str, Any]

_READ_ONLY = ("configMap", "secret", "downwardAPI", "projected")


class VolumeError(Exception):
    """A volume that cannot be made (now)."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume, by its path below the volume's folder."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume that is there: its folder, or file of the machine. *note* says what is not as asked for."""

    name: str
    source: Path
    read_only: bool
    note: str = ""


def volume_references(volume: Manifest) -> Iterator[Source]:
    """The config maps and secrets that *volume* shows."""
    for kind, part in _sources(volume):
        if kind == "configMap":
            yield Source("configmaps", part["name"])
        if kind == "secret":
            yield Source("secrets", part.get("secretName") or part["name"])


def volume_files(volume: Manifest, *, sources: Sources, downward: Downward) -> list[File]:
    """The files of a config map, secret, downward API or projected volume. Pure. Raises VolumeError, UnsafeName."""
    mode = next((volume[key].get("defaultMode") for key in _READ_ONLY if key in volume), None) or 0o644
    files: list[File] = []
    for kind, part in _sources(volume):
        if kind == "downwardAPI":
            files += _downward_files(part, downward, mode)
        if kind in ("configMap", "secret"):
            files += _data_files(kind, part, sources, mode)
    return files


def make_volume(
    volume: Manifest,
    *,
    folder: Path,
    sources: Sources,
    downward: Downward,
    allowed: Sequence[Path],
    owner: User | None,
    keep: bool = False,
) -> Volume:
    """Make *volume* in *folder*, or find it on this machine; what is made belongs to *owner*. With *keep*, files that
    are there already stay as they are. Raises VolumeError, UnsafeName."""
    name = volume["name"]
    if "hostPath" in volume:
        read_only = bool(volume.get("readOnly"))
        return Volume(name=name, source=_host_path(volume["hostPath"], allowed, owner), read_only=read_only)
    read_only = bool(volume.get("readOnly"))
    if any(key in volume for key in _READ_ONLY):
        read_only = True
        if not (keep and folder.is_dir()):
            _write_all(volume_files(volume, sources=sources, downward=downward), folder)
    folder.mkdir(parents=True, exist_ok=True)
    adopt(folder, owner)
    unknown = [key for key in volume if key not in ("name", "readOnly", "emptyDir", "csi", *_READ_ONLY)]
    note = f'volume "{name}" is of type {unknown[0]}, which is not supported: it is empty' if unknown else ""
    return Volume(name=name, source=folder, read_only=read_only, note=note)


def container_mounts(
    container: Manifest, volumes: Mapping[str, Volume], environment: Mapping[str, str], owner: User | None
) -> Iterator[Mount]:
    """What of *volumes* the container sees, outermost first. Raises VolumeError, UnsafeName."""
    for asked in sorted(container.get("volumeMounts") or (), key=lambda each: str(each["mountPath"]).count("/")):
        volume = volumes.get(asked["name"])
        if volume is None:
            raise VolumeError(f'volume "{asked["name"]}" not found')
        sub_path = asked.get("subPath") or expand(asked.get("subPathExpr") or "", environment)
        source = resolve_below(volume.source, sub_path) if sub_path else volume.source
        if not source.exists():
            make_inside(volume.source, source.relative_to(volume.source).parts, owner=owner)
        read_only = volume.read_only or bool(asked.get("readOnly"))
        yield Mount(str(source), mount_path(asked["mountPath"]), read_only)


def make_mount_points(mounts: Iterable[Mount], owner: User | None) -> None:
    """Make the places of mounts that lie inside of others; what a container put there, links above all, gives way."""
    done: list[Mount] = []
    for mount in mounts:
        outer = max(
            (each for each in done if mount.target.startswith(each.target + "/")),
            key=lambda each: len(each.target),
            default=None,
        )
        if outer is not None and Path(outer.source).is_dir():
            inside = Path(mount.target).relative_to(outer.target)
            make_inside(Path(outer.source), inside.parts, is_file=Path(mount.source).is_file(), owner=owner)
        done.append(mount)


def _sources(volume: Manifest) -> Iterator[tuple[str, Manifest]]:
    for kind in ("configMap", "secret", "downwardAPI"):
        if kind in volume:
            yield kind, volume[kind] or {}
    for part in (volume.get("projected") or {}).get("sources") or ():
        yield from part.items()


def _data_files(kind: str, part: Manifest, sources: Sources, mode: int) -> Iterator[File]:
    plural = {"configMap": "configmaps", "secret": "secrets"}[kind]
    source = Source(plural, part.get("secretName") or part["name"])
    data = sources.get(source)
    if data is None:
        if part.get("optional"):
            return
        raise VolumeError(source.missing())
    if not part.get("items"):
        yield from (File(check_key(key), content, mode) for key, content in data.items())
        return
    for item in part["items"]:
        if item["key"] in data:
            yield File(relative_path(item["path"]), data[item["key"]], item.get("mode") or mode)
        elif not part.get("optional"):
            raise VolumeError(f"references non-existent {kind.lower()} key: {item['key']}")


def _downward_files(part: Manifest, downward: Downward, mode: int) -> Iterator[File]:
    for item in part.get("items") or ():
        content = _downward_content(item, downward)
        yield File(relative_path(item["path"]), content.encode(), item.get("mode") or mode)


def _downward_content(item: Manifest, downward: Downward) -> str:
    if "resourceFieldRef" in item:
        wanted = item["resourceFieldRef"].get("containerName")
        containers = [each for each in downward.pod["spec"]["containers"] if each["name"] == wanted]
        return resource_value(item["resourceFieldRef"], containers[0] if containers else {}, downward)
    path = item["fieldRef"]["fieldPath"]
    if path in ("metadata.labels", "metadata.annotations"):
        values = downward.pod["metadata"].get(path.partition(".")[2]) or {}
        return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
    return field_value(path, downward)


def _write_all(files: Iterable[File], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode & 0o777)


def _host_path(asked: Manifest, allowed: Sequence[Path], owner: User | None) -> Path:
    path = Path(asked["path"])
    if not path.is_absolute() or ".." in path.parts:
        raise UnsafeName(f"hostPath {asked['path']!r} must be absolute and may not contain '..'")
    resolved = path.resolve()
    if not any(resolved.is_relative_to(each.resolve()) for each in allowed):
        raise VolumeError(f"hostPath {path} is not below a folder that this node allows")
    if asked.get("type") == "DirectoryOrCreate":
        resolved.mkdir(parents=True, exist_ok=True)
        # Asked for like this, it is for containers to write to, also when whoever runs us made it.
        adopt(resolved, owner)
    if not resolved.exists():
        raise VolumeError(f"hostPath {path} does not exist")
    return resolved
