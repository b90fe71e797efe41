"""Images that are kept on this machine to be pushed later, as a container engine's daemon keeps them.

Their blobs are in the registry already, where nobody finds them; what makes an image of them, the manifest, is a file
of a folder. So pushing a kept image is one small request.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from emulator.images.client import RegistryClient
from emulator.images.layer import Layer
from emulator.images.manifest import Config, Descriptor
from emulator.images.push import upload
from emulator.images.reference import Reference

_LIMIT_BYTES = 4 << 20


def keep(
    folder: Path, client: RegistryClient, reference: Reference, config: Config, layers: Sequence[Layer | Descriptor]
) -> None:
    """Keep an image in *folder*. A Descriptor is a layer that the repository has already."""
    manifest = upload(client, reference, config, layers)
    path = _file(folder, reference)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(manifest)
    # Whoever pushes it may be another user.
    unfinished.chmod(0o644)
    unfinished.replace(path)


def kept(folder: Path, reference: Reference) -> bytes | None:
    """The manifest of a kept image, None when there is none. What is in *folder* may be a stranger's work."""
    try:
        descriptor = os.open(_file(folder, reference), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError:
        return None
    return content if len(content) <= _LIMIT_BYTES else None


def _file(folder: Path, reference: Reference) -> Path:
    return folder / f"{hashlib.sha256(str(reference).encode()).hexdigest()}.json"
