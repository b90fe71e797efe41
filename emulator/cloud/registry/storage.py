"""Blobs, manifests and tags as files.

    blobs/sha256/ab/<hex>                                the bytes, once for all repositories
    repositories/<name>/_blobs/<hex>                     empty: this repository has the blob
    repositories/<name>/_manifests/<hex>                 the media type: this repository has the manifest
    repositories/<name>/_tags/<tag>                      the digest

Components of names begin with a letter or digit, so the folders with an underscore are never part of one.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from emulator.cloud.registry.errors import RegistryError


@dataclass(frozen=True, slots=True)
class Manifest:
    digest: str
    media_type: str
    content: bytes = field(repr=False)


class Storage:
    """The content of the registry. Names, tags and digests given to it are valid already."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs" / "sha256"
        self._repositories = folder / "repositories"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._repositories.mkdir(parents=True, exist_ok=True)

    def blob_path(self, digest: str) -> Path:
        """Where the bytes are, or belong."""
        return self._blobs / _hex(digest)[:2] / _hex(digest)

    def blob(self, name: str, digest: str) -> Path:
        """The file of a blob that the repository has; raises BLOB_UNKNOWN."""
        path = self.blob_path(digest)
        if not (self._repositories / name / "_blobs" / _hex(digest)).exists() or not path.exists():
            raise RegistryError("BLOB_UNKNOWN", f"{name} has no blob {digest}")
        return path

    def link_blob(self, name: str, digest: str) -> None:
        """The repository has the blob from now on."""
        _write(self._repositories / name / "_blobs" / _hex(digest), b"")

    def put_manifest(self, name: str, reference: str, manifest: Manifest) -> None:
        """Keep the manifest; a *reference* that is no digest becomes a tag of it."""
        _write(self.blob_path(manifest.digest), manifest.content)
        _write(self._manifest_link(name, manifest.digest), manifest.media_type.encode())
        if not _is_digest(reference):
            _write(self._repositories / name / "_tags" / reference, manifest.digest.encode())

    def manifest(self, name: str, reference: str) -> Manifest:
        """The manifest by tag or digest; raises MANIFEST_UNKNOWN."""
        try:
            digest = reference if _is_digest(reference) else self._tag(name, reference).read_text()
            media_type = self._manifest_link(name, digest).read_text()
            return Manifest(digest, media_type, self.blob_path(digest).read_bytes())
        except FileNotFoundError as error:
            raise RegistryError("MANIFEST_UNKNOWN", f"{name} has no manifest {reference}") from error

    def has_manifest(self, name: str, digest: str) -> bool:
        return self._manifest_link(name, digest).exists()

    def delete_manifest(self, name: str, reference: str) -> None:
        """Remove a tag, or a manifest with all its tags; raises MANIFEST_UNKNOWN."""
        digest = self.manifest(name, reference).digest
        if not _is_digest(reference):
            self._tag(name, reference).unlink()
            return
        for tag in self.tags(name):
            if self._tag(name, tag).read_text() == digest:
                self._tag(name, tag).unlink()
        self._manifest_link(name, digest).unlink()

    def tags(self, name: str) -> list[str]:
        """The repository's tags in lexical order; raises NAME_UNKNOWN."""
        if not (self._repositories / name / "_manifests").is_dir():
            raise RegistryError("NAME_UNKNOWN", f"no repository {name}")
        with suppress(FileNotFoundError):
            return sorted(entry for entry in os.listdir(self._repositories / name / "_tags") if entry[0] != "~")
        return []

    def catalog(self) -> list[str]:
        """Every repository that ever had a manifest, in lexical order."""
        found = []
        for folder, children, _ in os.walk(self._repositories):
            if "_manifests" in children:
                found.append(str(Path(folder).relative_to(self._repositories)))
            children[:] = [child for child in children if not child.startswith("_")]
        return sorted(found)

    def _manifest_link(self, name: str, digest: str) -> Path:
        return self._repositories / name / "_manifests" / _hex(digest)

    def _tag(self, name: str, tag: str) -> Path:
        return self._repositories / name / "_tags" / tag


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _is_digest(reference: str) -> bool:
    # A tag has no colon.
    return ":" in reference


def _hex(digest: str) -> str:
    return digest.partition(":")[2]


def _write(path: Path, content: bytes) -> None:
    """Write in one step: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # No tag and no digest begins with a tilde.
    unfinished = path.with_name(f"~{uuid.uuid4()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
