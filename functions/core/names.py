"""Names derived from a repository: of its image, its build, its user.

Image and build names are byte for byte those of BinderHub (commit b9fad995), so that both can share a registry.
"""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import dataclass
from urllib.parse import urlsplit

ALPHANUMERIC = frozenset(string.ascii_letters + string.digits)
# The longest name a registry takes: https://github.com/docker/distribution/blob/main/reference/reference.go
MAX_NAME = 255
MAX_DNS_LABEL = 63
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BUILD_ID = re.compile(r"[a-z0-9-]{1,255}:[a-z0-9][a-z0-9.-]{0,127}")
REFERENCE = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,127}}|{DIGEST.pattern}")


@dataclass(frozen=True, slots=True)
class ImageName:
    """`host/repository:reference`; the host is empty for a name without one, such as `owner/name` on Docker Hub."""

    host: str
    repository: str
    reference: str


def image_name(prefix: str, slug: str, ref: str) -> str:
    """The image of the repository with *slug* at *ref*: `<prefix><name>:<ref>`."""
    name = _shortened(slug, limit=MAX_NAME - len(prefix), hash_length=6)
    return f"{prefix}{name}:{ref}".replace("_", "-").lower()


def parse_image(image: str) -> ImageName:
    """Split an image name as container engines do: a first part with a dot or port, or localhost, is a host.

    Raises ValueError for a name that no image can have; what is left may become part of an address.
    """
    first, slash, rest = image.partition("/")
    is_host = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    host, path = (first, rest) if is_host else ("", image)
    path, at, digest = path.partition("@")
    repository, _, tag = path.partition(":")
    name = ImageName(host, repository, digest if at else tag or "latest")
    if not (REPOSITORY.fullmatch(name.repository) and REFERENCE.fullmatch(name.reference)):
        raise ValueError(f"no image is called {image[:200]!r}")
    return name


def build_name(slug: str, ref: str, *, prefix: str = "build-") -> str:
    """BinderHub's name of a build. It holds 8 bits of the ref, so two builds can share it: see `job_name`."""
    ref_length = 6
    name = _shortened(slug, limit=MAX_DNS_LABEL - len(prefix) - ref_length - 1, hash_length=6)
    return f"{prefix}{name}-{_shortened(ref, limit=ref_length, hash_length=2)}".lower()


def job_name(image: str, attempt: int) -> str:
    """A DNS label for one attempt at building *image*: readable first, unique by 64 bits of SHA-256 at its end."""
    unique = hashlib.sha256(f"{image}\n{attempt}".encode()).hexdigest()[:16]
    readable = re.sub(r"[^a-z0-9]+", "-", image.rpartition("/")[2].rpartition(":")[0].lower()).strip("-")
    stem = f"build-{readable}"[: MAX_DNS_LABEL - len(unique) - 1].rstrip("-")
    return f"{stem}-{unique}"


def user_name(repo_url: str, suffix: str) -> str:
    """A Hub user for a launch of *repo_url*, told from others by *suffix*.

    As BinderHub's, but characters that would need escaping in an address become `-`.
    """
    path = urlsplit(repo_url).path if "://" in repo_url else repo_url.partition(":")[2] or repo_url
    stem = path.strip("/").replace("/", "-").lower().removesuffix(".git")
    if len(stem) > 32:
        stem = f"{stem[:15]}-{stem[-15:]}"
    return f"{re.sub(r'[^a-z0-9._-]', '-', stem) or 'repo'}-{suffix}"


def _shortened(text: str, *, limit: int, hash_length: int) -> str:
    """*text* as BinderHub makes it safe: escaped, cut to fit into *limit* characters with a hash, in lower case."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:hash_length]
    return f"{escaped(text)[: limit - hash_length - 1]}-{digest}".lower()


def escaped(text: str) -> str:
    """*text* with every byte that is not of a letter or digit of ASCII as `-` and its hexadecimal number."""
    # As the escapism package does; a byte below 16 gets a single digit there too.
    return "".join(char if char in ALPHANUMERIC else "".join(f"-{byte:X}" for byte in char.encode()) for char in text)


def build_id(image: str, prefix: str) -> str:
    """What the API calls the build of *image*: its name without what all images of this hub begin with."""
    return image.removeprefix(prefix)


def image_of_build(text: str, prefix: str) -> str:
    """The image that `build_id` made *text* of. Raises ValueError for a text that it cannot have made."""
    if not _BUILD_ID.fullmatch(text):
        raise ValueError(f"no build is called {text[:100]!r}")
    return prefix + text
