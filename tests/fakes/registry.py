"""A Registry that has what a test puts into it."""

from __future__ import annotations

from hashlib import sha256

from functions.core.errors import BinderError
from functions.core.ports import ImageFound, ImageMissing


class FakeRegistry:
    """`asked` is every image that was looked up; `error`, if set, is raised instead of an answer."""

    def __init__(self, *images: str) -> None:
        self.asked: list[str] = []
        self.error: BinderError | None = None
        self._digests: dict[str, str] = {}
        for image in images:
            self.put(image)

    def put(self, image: str) -> str:
        """Put *image* there, and return its digest."""
        self._digests[image] = digest = "sha256:" + sha256(image.encode()).hexdigest()
        return digest

    def find(self, image: str) -> ImageFound | ImageMissing:
        self.asked.append(image)
        if self.error:
            raise self.error
        return ImageFound(self._digests[image]) if image in self._digests else ImageMissing()
