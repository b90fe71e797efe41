"""Pulling: an image's environment and home folder on this machine's disk, verified.

`environments/` holds one folder per environment, named by its tree hash; `images/` one per image, named by its digest.
A folder under its final name is complete: it is made beside it and renamed. Deleting either costs only time.
"""

from __future__ import annotations

import asyncio
import fcntl
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emulator.images.client import RegistryClient
from emulator.images.errors import ImageError
from emulator.images.layer import HOME
from emulator.images.manifest import (
    ENVIRONMENT_ANNOTATION,
    LAYER_TYPE,
    RUNTIME,
    RUNTIME_LABEL,
    Config,
    Descriptor,
    Manifest,
)
from emulator.images.placement import spread
from emulator.images.reference import Reference
from emulator.images.tree import Links, of_environment, stays_inside
from emulator.images.unpack import unpack

_TREE_HASH = re.compile(r"[0-9a-f]{64}")
_CONFIG_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledImage:
    """An image that is here. `environment` is shared by all pods: mount it read-only. `home` is to be copied."""

    reference: str
    digest: str
    env: dict[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    working_dir: str
    labels: dict[str, str]
    environment: Path | None
    home: Path


async def pull(reference: str, *, registry: str, credentials: str, root: Path) -> PulledImage:
    """Pull an image of the process runtime; what is here already is not fetched again. Raises ImageError."""
    return await asyncio.to_thread(_pull, Reference.parse(reference), registry, credentials, root.absolute())


def _pull(reference: Reference, registry: str, credentials: str, root: Path) -> PulledImage:
    if reference.registry != registry:
        raise ImageError(f"{reference.registry} is not reachable from here: images of this cluster are at {registry}.")
    with RegistryClient(registry, credentials) as client:
        content, digest = client.manifest(reference)
        manifest = Manifest.from_bytes(content)
        config = _config(client, reference, manifest.config)
        source = _Source(client, reference.repository, root)
        environment = source.environment(manifest.layers)
        home = source.home(manifest.layers, digest)
    return PulledImage(
        reference=str(reference),
        digest=digest,
        env=dict(config.env),
        entrypoint=tuple(config.entrypoint),
        command=tuple(config.command),
        working_dir=config.working_dir,
        labels=dict(config.labels),
        environment=environment,
        home=home,
    )


def _config(client: RegistryClient, reference: Reference, descriptor: Descriptor) -> Config:
    if descriptor.size > _CONFIG_LIMIT_BYTES:
        raise ImageError("The image's configuration is too large.")
    config = Config.from_bytes(b"".join(client.blob(reference.repository, descriptor)))
    if config.labels.get(RUNTIME_LABEL) != RUNTIME:
        raise ImageError(
            f"{reference} is an image for containers, and this cluster runs pods as plain processes. "
            f"It can run images with the label {RUNTIME_LABEL}={RUNTIME}, such as its own builds."
        )
    return config


class _Source:
    """A repository of a registry, and the folder that its layers are unpacked below."""

    def __init__(self, client: RegistryClient, repository: str, root: Path) -> None:
        self._client, self._repository = client, repository
        self._environments, self._images = root / "environments", root / "images"

    def environment(self, layers: tuple[Descriptor, ...]) -> Path | None:
        """Restore the environment of an image to the folder named by its tree hash."""
        found = [layer for layer in layers if ENVIRONMENT_ANNOTATION in layer.annotations]
        if not found:
            return None
        wanted = found[0].annotations[ENVIRONMENT_ANNOTATION]
        folder = self._environments / Path(wanted).name
        if len(found) > 1 or not _TREE_HASH.fullmatch(folder.name):
            raise ImageError("The image does not say which environment it holds.")
        if wanted != str(folder):
            raise ImageError(f"The image was built for {wanted}, which is not on this machine. Build it again.")

        def fill(partial: Path) -> None:
            # Files lose the permission to write. Folders keep it: who owns the state must be able to remove it.
            content = self._unpack(
                found[0], prefix=wanted.lstrip("/"), into=partial, links=of_environment, writable=False
            )
            if content != folder.name:
                raise ImageError("The image's environment is not the one that its name says.")

        _once(folder, fill)
        return folder

    def home(self, layers: tuple[Descriptor, ...], digest: str) -> Path:
        """Unpack the home folder of an image."""
        folder = self._images / digest.removeprefix("sha256:")
        homes = [layer for layer in layers if ENVIRONMENT_ANNOTATION not in layer.annotations]
        if len(homes) > 1:
            raise ImageError("The image has more than one layer for the home folder.")

        def fill(partial: Path) -> None:
            partial.mkdir()
            if not homes:
                (partial / "home").mkdir()
            for layer in homes:
                self._unpack(layer, prefix=HOME, into=partial / "home", links=stays_inside, writable=True)

        _once(folder, fill)
        return folder / "home"

    def _unpack(self, layer: Descriptor, *, prefix: str, into: Path, links: Links, writable: bool) -> str:
        if layer.media_type != LAYER_TYPE:
            raise ImageError(f"The image has a layer of type {layer.media_type}; expected {LAYER_TYPE}.")
        blocks = self._client.blob(self._repository, layer)
        return unpack(blocks, prefix=prefix, into=into, links=links, writable=writable)


def _once(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have *fill* make *folder* unless it is there; only one process or thread does, the others wait for it."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    spread(folder.parent)
    with _locked(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            fill(partial)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
