"""What a manifest refers to, read from its JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.cloud.registry.errors import RegistryError
from emulator.cloud.registry.names import is_digest

MAX_BYTES = 4 * 1024 * 1024

IMAGE_TYPES = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


@dataclass(frozen=True, slots=True)
class References:
    """Digests that must be there before the manifest is."""

    blobs: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()


def references(content: bytes, media_type: str) -> References:
    """Read what *content* refers to; raises MANIFEST_INVALID when it is not what *media_type* says."""
    document = _object(content)
    if document.get("mediaType", media_type) != media_type:
        raise RegistryError("MANIFEST_INVALID", "mediaType and Content-Type differ")
    if media_type in IMAGE_TYPES:
        return References(blobs=_digests([document.get("config"), *_list(document, "layers")]))
    if media_type in INDEX_TYPES:
        return References(manifests=_digests(_list(document, "manifests")))
    raise RegistryError("MANIFEST_INVALID", f"unknown media type {media_type[:100]!r}")


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RegistryError("MANIFEST_INVALID", "not JSON") from error
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise RegistryError("MANIFEST_INVALID", "not a manifest of schema version 2")
    return document


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise RegistryError("MANIFEST_INVALID", f"{key} is not a list")
    return value


def _digests(descriptors: list[Any]) -> tuple[str, ...]:
    return tuple(_digest(each) for each in descriptors)


def _digest(descriptor: Any) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not is_digest(digest):
        raise RegistryError("MANIFEST_INVALID", "a descriptor without a sha256 digest")
    return digest
