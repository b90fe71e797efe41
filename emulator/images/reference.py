"""Names of images, read as container runtimes read them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emulator.images.errors import ImageError

# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is: `version` is a tag or a digest."""

    registry: str
    repository: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `[host[:port]/]name[:tag][@digest]`. Without a host it is Docker Hub's, as everywhere."""
        name, at, digest = text.partition("@")
        host, slash, rest = name.partition("/")
        if not slash or not ("." in host or ":" in host or host == "localhost"):
            host, rest = "docker.io", name
        repository, colon, tag = rest.partition(":")
        version = digest if at else (tag if colon else "latest")
        pattern = DIGEST if at else _TAG
        if not _REPOSITORY.fullmatch(repository) or not pattern.fullmatch(version):
            raise ImageError(f"{text!r} is not the name of an image.")
        return cls(host, repository, version)

    def __str__(self) -> str:
        separator = "@" if DIGEST.fullmatch(self.version) else ":"
        return f"{self.registry}/{self.repository}{separator}{self.version}"
