"""Pushing: blobs that the registry lacks, then the manifest that names them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from emulator.images.client import RegistryClient
from emulator.images.errors import ImageError
from emulator.images.layer import Layer
from emulator.images.manifest import CONFIG_TYPE, Config, Descriptor, Manifest, digest_of
from emulator.images.reference import Reference

# As docker does: an image that took minutes to make is not thrown away because a registry is started again.
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
T = TypeVar("T")
Sleep = Callable[[float], None]


def push(
    client: RegistryClient,
    reference: Reference,
    config: Config,
    layers: Sequence[Layer | Descriptor],
    *,
    sleep: Sleep = time.sleep,
) -> str:
    """Push an image and return its digest. A Descriptor is a layer that the repository has already.

    A registry that does not answer for a while is waited for, some 15 s.
    """
    manifest = upload(client, reference, config, layers)
    return patiently(lambda: client.put_manifest(reference, manifest), sleep=sleep)


def patiently(step: Callable[[], T], *, sleep: Sleep = time.sleep) -> T:
    """What *step*, which may be repeated, comes to; tried again while the registry is only in passing trouble."""
    for pause_s in PAUSES_S:
        try:
            return step()
        except ImageError as error:
            if not error.passing:
                raise
        sleep(pause_s)
    return step()


def upload(client: RegistryClient, reference: Reference, config: Config, layers: Sequence[Layer | Descriptor]) -> bytes:
    """Push all of an image but its manifest, and return that."""
    descriptors = [layer.descriptor if isinstance(layer, Layer) else layer for layer in layers]
    for layer in layers:
        if isinstance(layer, Layer):
            patiently(partial(_send, client, reference.repository, layer.descriptor, layer.blocks))
    content = config.as_bytes(descriptors)
    about = Descriptor(CONFIG_TYPE, digest_of(content), len(content))
    patiently(partial(_send, client, reference.repository, about, lambda: [content]))
    return Manifest(about, tuple(descriptors)).as_bytes()


def _send(
    client: RegistryClient, repository: str, descriptor: Descriptor, blocks: Callable[[], Iterable[bytes]]
) -> None:
    if not client.has_blob(repository, descriptor.digest):
        client.put_blob(repository, descriptor, blocks())
