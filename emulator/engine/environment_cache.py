"""Environments that were built before, found in the registry by what they were built from.

They lie in one repository of the registry, tagged with a key. A registry that has lost one costs only time; the kubelet
compares content and tree hash whenever it restores one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from emulator.engine.environment import BASE_LOCK, BASE_RANGES
from emulator.engine.interpreter import Interpreter
from emulator.engine.repository import Repository
from emulator.images import Config, Descriptor, ImageError, Layer, Reference, RegistryClient, patiently, push
from emulator.images.manifest import ENVIRONMENT_ANNOTATION, Manifest
from emulator.images.tree import of_environment
from emulator.images.unpack import unpack

REPOSITORY = "binderless/environments"
# To be raised with every change of how environments are built.
_RECIPE = 2


def key_of(repository: Repository, *, python: Interpreter, root: Path, today: date) -> str:
    """What an environment is built from, as a tag; empty when files of the repository take part.

    Without requirements the lock file settles everything. With any, newer versions may fit tomorrow: the key is good
    for a day.
    """
    if repository.needs_files:
        return ""
    lines = [line.strip() for line in repository.requirements if line.strip()]
    parts = [
        _RECIPE,
        str(root),
        str(python.path),
        python.version,
        BASE_LOCK.read_text(),
        BASE_RANGES.read_text(),
        lines,
    ]
    return hashlib.sha256(json.dumps(parts + ([today.isoformat()] if lines else [])).encode()).hexdigest()


def find(client: RegistryClient, key: str) -> Descriptor | None:
    """The layer of the environment with this key, or None."""
    return patiently(lambda: _find(client, key))


def _find(client: RegistryClient, key: str) -> Descriptor | None:
    try:
        content, _ = client.manifest(Reference(client.registry, REPOSITORY, key))
    except ImageError as error:
        if error.missing:
            return None
        raise
    layers = Manifest.from_bytes(content).layers
    found = [layer for layer in layers if ENVIRONMENT_ANNOTATION in layer.annotations]
    return found[0] if found and client.has_blob(REPOSITORY, found[0].digest) else None


def restore(client: RegistryClient, layer: Descriptor, *, into: Path) -> None:
    """Unpack an environment, to be changed. Where it mentions a folder of its own, that is still the one it was for."""
    patiently(lambda: _restore(client, layer, into))


def _restore(client: RegistryClient, layer: Descriptor, into: Path) -> None:
    # What came before the registry broke off.
    shutil.rmtree(into, ignore_errors=True)
    folder = layer.annotations[ENVIRONMENT_ANNOTATION]
    blocks = client.blob(REPOSITORY, layer)
    content = unpack(blocks, prefix=folder.lstrip("/"), into=into, links=of_environment, writable=True)
    if content != Path(folder).name:
        raise ImageError(f"The environment {folder} in the registry is not what its name says.")


def keep(client: RegistryClient, key: str, layer: Layer) -> None:
    """Put an environment into the registry, for later builds too."""
    push(client, Reference(client.registry, REPOSITORY, key), Config(env={}, labels={}), [layer])


def hand_over(client: RegistryClient, layer: Descriptor, *, repository: str) -> None:
    """Make the layer part of another repository of the registry, without sending it where that can be avoided."""
    patiently(lambda: _hand_over(client, layer, repository))


def _hand_over(client: RegistryClient, layer: Descriptor, repository: str) -> None:
    if client.has_blob(repository, layer.digest) or client.mount_blob(repository, layer.digest, source=REPOSITORY):
        return
    blocks: Iterator[bytes] = client.blob(REPOSITORY, layer)
    client.put_blob(repository, layer, blocks)
