"""Names and paths that others chose, checked before they become files of this machine."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_UID = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_ENVIRONMENT_NAME = re.compile(r"[^=\0]+")

# Mounting over these would undo the sandbox.
_RESERVED = ("/proc", "/sys", "/dev")
_IN_RESERVED_ALLOWED = ("/dev/shm",)


class UnsafeName(ValueError):
    """A name or path that may not become a file; the text says which."""


def check_pod(pod: Mapping[str, Any]) -> None:
    """Refuse a pod whose names could not be folder names. Raises UnsafeName."""
    metadata, spec = pod["metadata"], pod["spec"]
    _check(_UID, "uid", metadata["uid"])
    _check(_LABEL, "namespace", metadata["namespace"])
    _check(_SUBDOMAIN, "name", metadata["name"])
    if "hostname" in spec:
        _check(_LABEL, "hostname", spec["hostname"])
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        _check(_LABEL, "container name", container["name"])
    for volume in spec.get("volumes") or ():
        _check(_LABEL, "volume name", volume["name"])


def check_key(key: str) -> str:
    """Return *key* of a config map or secret if it can be a file name. Raises UnsafeName."""
    _check(_KEY, "key", key)
    if key.startswith("..") or key == ".":
        raise UnsafeName(f"key {key!r} is not a file name")
    return key


def is_environment_name(name: str) -> bool:
    return _ENVIRONMENT_NAME.fullmatch(name) is not None


def check_text(what: str, text: str) -> str:
    """Return *text* if it can be an argument of a process. Raises UnsafeName.

    A NUL would end the argument early, and everything after it would be read as the next one.
    """
    if "\0" in text:
        raise UnsafeName(f"{what} holds a NUL character")
    return text


def relative_path(text: str) -> str:
    """Return *text* if it is a path that stays below where it starts. Raises UnsafeName."""
    check_text("path", text)
    if text.startswith("/") or ".." in text.split("/"):
        raise UnsafeName(f"path {text!r} must be relative and may not contain '..'")
    return posixpath.normpath(text) if text else ""


def mount_path(text: str) -> str:
    """Return *text* as a normalised absolute path where a volume may be mounted. Raises UnsafeName."""
    check_text("mountPath", text)
    if not text.startswith("/") or ".." in text.split("/"):
        raise UnsafeName(f"mountPath {text!r} must be absolute and may not contain '..'")
    path = posixpath.normpath("/" + text.lstrip("/"))
    if path == "/" or (within(path, _RESERVED) and not within(path, _IN_RESERVED_ALLOWED)):
        raise UnsafeName(f"nothing may be mounted at {path}")
    return path


def within(path: str, folders: tuple[str, ...]) -> bool:
    """Whether *path* is one of *folders* or below one; both are normalised."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def resolve_below(folder: Path, relative: str) -> Path:
    """Return *relative* below *folder*, following no symbolic link. Raises UnsafeName.

    The content of *folder* belongs to a container, which may have put a link to anywhere in the way.
    """
    path = folder
    for part in Path(relative_path(relative)).parts:
        path = path / part
        if path.is_symlink():
            raise UnsafeName(f"subPath {relative!r} leads through a symbolic link")
    return path


def log_folder(pod: Mapping[str, Any]) -> str:
    """The folder name of a pod's logs. The uid alone tells pods apart; long names are cut to fit a file name."""
    metadata = pod["metadata"]
    return f"{metadata['namespace']}_{metadata['name'][:120]}_{metadata['uid']}"


def _check(pattern: re.Pattern[str], what: str, text: object) -> None:
    if not isinstance(text, str) or len(text) > 253 or not pattern.fullmatch(text):
        raise UnsafeName(f"{what} {text!r} is not valid")
