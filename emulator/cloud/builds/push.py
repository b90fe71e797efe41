"""The images of a build, pushed after its steps: from where the steps left them, with the builder's own login."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from emulator.images import ImageError, Reference
from emulator.images.kept import kept
from emulator.images.manifest import MANIFEST_TYPE

NOT_FOUND, NOT_AUTHORIZED, FAILED = "PUSH_IMAGE_NOT_FOUND", "PUSH_NOT_AUTHORIZED", "PUSH_FAILED"
ATTEMPTS = 5
_PAUSE_S = 0.5
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class PushFailed(Exception):
    """An image was not pushed; *kind* is the failure type of the build."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Pusher:
    """Pushes to one registry, `host:port`; *login* is user:password."""

    http: aiohttp.ClientSession
    registry: str
    login: str

    async def push(self, image: str, store: Path) -> tuple[str, int]:
        """Push *image* out of the folder *store*; its digest and the size of its manifest. Raises PushFailed."""
        try:
            reference = Reference.parse(image)
        except ImageError as error:
            raise PushFailed(NOT_FOUND, str(error)) from error
        manifest = await asyncio.to_thread(kept, store, reference)
        if manifest is None:
            raise PushFailed(NOT_FOUND, f"An image does not exist locally with the tag: {image}")
        if reference.registry != self.registry:
            raise PushFailed(FAILED, f"the registry {reference.registry} cannot be reached")
        return await self._put(reference, manifest), len(manifest)

    async def _put(self, reference: Reference, manifest: bytes) -> str:
        problem = ""
        for attempt in range(ATTEMPTS):
            await asyncio.sleep(_PAUSE_S * attempt)
            try:
                return await self._try(reference, manifest)
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = str(error) or type(error).__name__
        raise PushFailed(FAILED, f"failed to push because we ran out of retries: {problem}")

    async def _try(self, reference: Reference, manifest: bytes) -> str:
        user, _, password = self.login.partition(":")
        url = f"http://{self.registry}/v2/{reference.repository}/manifests/{reference.version}"
        async with self.http.put(
            url,
            data=manifest,
            headers={"Content-Type": MANIFEST_TYPE},
            auth=aiohttp.BasicAuth(user, password),
            timeout=_TIMEOUT,
        ) as answer:
            if answer.status in (401, 403):
                raise PushFailed(NOT_AUTHORIZED, f"denied: permission to push {reference} is missing")
            if answer.status != 201:
                text = (await answer.text())[:300]
                raise PushFailed(FAILED, f"the registry answered {answer.status} for {reference}: {text}")
            return answer.headers["Docker-Content-Digest"]
