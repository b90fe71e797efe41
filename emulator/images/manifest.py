"""Manifest and config of an image, in the words of the OCI image specification.

https://github.com/opencontainers/image-spec/blob/main/manifest.md and config.md
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.images.errors import ImageError
from emulator.images.reference import DIGEST

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

RUNTIME_LABEL = "binderless.runtime"
RUNTIME = "process"
HOST_PATHS_LABEL = "binderless.host-paths"
ENVIRONMENT_ANNOTATION = "binderless.environment"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """Canonical JSON: the same document has the same digest."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob as a manifest names it."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return document | ({"annotations": dict(self.annotations)} if self.annotations else {})

    @classmethod
    def from_json(cls, document: Any) -> Descriptor:
        """Read a descriptor that a stranger may have written."""
        digest, size = document["digest"], document["size"]
        if not DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
            raise ValueError(f"bad descriptor of {digest}")
        return cls(str(document["mediaType"]), digest, size, _texts(document.get("annotations")))


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]

    def as_bytes(self) -> bytes:
        return as_bytes(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": self.config.as_json(),
                "layers": [layer.as_json() for layer in self.layers],
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read a manifest; ImageError when it is none."""
        try:
            document = json.loads(content)
            layers = tuple(Descriptor.from_json(layer) for layer in document["layers"])
            return cls(Descriptor.from_json(document["config"]), layers)
        except (KeyError, TypeError, ValueError) as error:
            raise ImageError("The registry's manifest is not one of a single OCI image.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How an image wants to be started."""

    env: Mapping[str, str]
    labels: Mapping[str, str]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    working_dir: str = "/home/jovyan"

    def as_bytes(self, layers: Sequence[Descriptor]) -> bytes:
        """The config blob. The layers are not compressed: their digests are the digests of their content."""
        config = {
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "Labels": dict(self.labels),
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "WorkingDir": self.working_dir,
            "User": "1000",
        }
        return as_bytes(
            {
                "created": "1970-01-01T00:00:00Z",
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": config,
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
                "history": [{"created_by": "binderless", "created": "1970-01-01T00:00:00Z"} for _ in layers],
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Config:
        """Read a config blob; ImageError when it is none."""
        try:
            config = json.loads(content).get("config") or {}
            return cls(
                env=dict(_pair(item) for item in config.get("Env") or ()),
                labels=_texts(config.get("Labels")),
                entrypoint=tuple(map(str, config.get("Entrypoint") or ())),
                command=tuple(map(str, config.get("Cmd") or ())),
                working_dir=str(config.get("WorkingDir") or "/"),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise ImageError("The image's configuration cannot be read.") from error


def _pair(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, value


def _texts(document: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in (document or {}).items()}
