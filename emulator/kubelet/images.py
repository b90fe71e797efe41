"""Images of this node: pulled when a pod's policy asks for it, and remembered.

https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import tempfile
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from emulator.images import ImageError, PulledImage, with_own_environment

log = logging.getLogger(__name__)

# Only images in this repository of our own registry may keep folders of the machine visible.
OPERATOR_REPOSITORY = "binderless/"
# host[:port]/path[:tag][@digest], loosely: the registry judges what is inside.
_NAME = re.compile(
    r"(?:[a-zA-Z0-9.\[\]-]+(?::\d+)?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-fA-F]{32,})?"
)
HOST_PATHS_LABEL = "binderless.host-paths"


class Pull(Protocol):
    """What fetches an image; raises ImageError."""

    def __call__(self, reference: str, /) -> Awaitable[PulledImage]: ...


class ImageNeverPulled(ImageError):
    """The policy is Never, and the image is not here."""


class Images:
    """The images of this node, in a file that a later kubelet reads again."""

    def __init__(self, pull: Pull, memory: Path) -> None:
        self._pull = pull
        self._memory = memory
        self._known = _load(memory)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def present(self, reference: str, policy: str) -> PulledImage | None:
        """The image, if *policy* allows to use what is here. Raises ImageNeverPulled."""
        known = self._known.get(reference)
        if known is not None and not _complete(known):
            known = None
        if policy == "Never" and known is None:
            raise ImageNeverPulled(f'Container image "{reference}" is not present with pull policy of Never')
        return None if policy == "Always" else known

    async def pull(self, reference: str) -> PulledImage:
        """Fetch the image; at the same time only once. Raises ImageError."""
        async with self._locks[reference]:
            image = await self._pull(reference)
        self._known[reference] = image
        self._save()
        return image

    async def with_own_environment(self, image: PulledImage, into: Path) -> PulledImage:
        """The image with a copy of its environment in the folder *into*; one that was changed is pulled again first.
        Raises ImageError."""
        if image.environment is None:
            return image
        async with self._locks[str(image.environment)]:
            try:
                return await asyncio.to_thread(with_own_environment, image, into)
            except (ImageError, FileNotFoundError, PermissionError) as error:
                log.warning("an environment is pulled again, since something changed it: %s", error)
            _put_aside(into, image.environment)
            again = await self.pull(image.reference)
            return await asyncio.to_thread(with_own_environment, again, into)

    def _save(self) -> None:
        partial = self._memory.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(each) for each in self._known.values()], default=str))
        partial.replace(self._memory)


def _put_aside(copy: Path, original: Path) -> None:
    """Move both into a folder that goes with the pod: a launch does not wait until so many files are removed."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix="changed-", dir=copy.parent))
    for folder in (copy, original):
        with suppress(FileNotFoundError):
            if not folder.is_symlink():
                # A folder that moves is written to.
                folder.chmod(0o700)
            folder.rename(aside / folder.name)


def name_problem(reference: str) -> str:
    """Say why a text is no name of an image; nothing where it is one."""
    if _NAME.fullmatch(reference):
        return ""
    why = "invalid reference format"
    if _NAME.fullmatch(reference.lower()) or reference != reference.lower():
        why += ": repository name must be lowercase"
    return f'Failed to apply default image tag "{reference}": couldn\'t parse image reference "{reference}": {why}'


def pull_policy(container: dict[str, Any]) -> str:
    """The policy given, or Kubernetes' default: Always for the tag latest, or none."""
    given = container.get("imagePullPolicy")
    if given:
        return str(given)
    image = container["image"]
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if "@" not in image and tag in ("", "latest") else "IfNotPresent"


def host_paths(image: PulledImage, *, registry: str) -> tuple[str, ...]:
    """The machine's folders that containers of *image* need to see; a stranger's image cannot ask for any."""
    if not image.reference.startswith(f"{registry}/{OPERATOR_REPOSITORY}"):
        return ()
    return tuple(path for path in image.labels.get(HOST_PATHS_LABEL, "").split(":") if path.startswith("/"))


def _complete(image: PulledImage) -> bool:
    return image.home.is_dir() and (image.environment is None or image.environment.is_dir())


def _load(memory: Path) -> dict[str, PulledImage]:
    try:
        stored = json.loads(memory.read_text())
        images = [_image(each) for each in stored]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {image.reference: image for image in images}


def _image(stored: dict[str, Any]) -> PulledImage:
    environment = stored["environment"]
    return PulledImage(
        reference=stored["reference"],
        digest=stored["digest"],
        env=stored["env"],
        entrypoint=tuple(stored["entrypoint"]),
        command=tuple(stored["command"]),
        working_dir=stored["working_dir"],
        labels=stored["labels"],
        environment=None if environment is None else Path(environment),
        home=Path(stored["home"]),
    )


def image_id(image: PulledImage) -> str:
    """The repository with the digest of what was pulled from it."""
    repository, _, name = image.reference.partition("@")[0].rpartition("/")
    return f"{repository}/{name.partition(':')[0]}@{image.digest}"
