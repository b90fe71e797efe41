"""Pushing: blobs that the registry lacks, then the manifest that names them."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.images.client import RegistryClient
from emulator.images.layer import Layer
from emulator.images.manifest import CONFIG_TYPE, Config, Descriptor, Manifest, digest_of
from emulator.images.reference import Reference


def push(client: RegistryClient, reference: Reference, config: Config, layers: Sequence[Layer | Descriptor]) -> str:
    """Push an image and return its digest. A Descriptor is a layer that the repository has already."""
    return client.put_manifest(reference, upload(client, reference, config, layers))


def upload(client: RegistryClient, reference: Reference, config: Config, layers: Sequence[Layer | Descriptor]) -> bytes:
    """Push all of an image but its manifest, and return that."""
    descriptors = [layer.descriptor if isinstance(layer, Layer) else layer for layer in layers]
    for layer in layers:
        if isinstance(layer, Layer) and not client.has_blob(reference.repository, layer.descriptor.digest):
            client.put_blob(reference.repository, layer.descriptor, layer.blocks())
    content = config.as_bytes(descriptors)
    about = Descriptor(CONFIG_TYPE, digest_of(content), len(content))
    if not client.has_blob(reference.repository, about.digest):
        client.put_blob(reference.repository, about, [content])
    return Manifest(about, tuple(descriptors)).as_bytes()
