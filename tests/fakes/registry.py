"""A Registry that has what a test puts into it."""

from __future__ import annotations

from hashlib import sha256

from functions.core.errors import BinderError
from functions.core.ports import ImageFound, ImageMissing


class FakeRegistry:
    """`asked` is every image that was looked up; `error`, if set, is raised instead of an answer.

    `deleted` are the images that were to go, where the registry `permits_deletion`. `remembered` holds digests of
    before, which is what everybody gets who does not ask for a fresh answer.
    """

    def __init__(self, *images: str) -> None:
        self.asked: list[str] = []
        self.error: BinderError | None = None
        self.deleted: list[str] = []
        self.permits_deletion = True
        self.remembered: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        for image in images:
            self.put(image)

    def put(self, image: str, content: str = "") -> str:
        """Put *image* there, and return its digest, by which it is known as well."""
        digest = "sha256:" + sha256(f"{image}{content}".encode()).hexdigest()
        self._digests[image] = self._digests[f"{image.rpartition(':')[0]}@{digest}"] = digest
        return digest

    def lose(self, image: str) -> None:
        """Let *image* be gone."""
        digest = self._digests.pop(image)
        self._digests.pop(f"{image.rpartition(':')[0]}@{digest}")

    def delete(self, image: str, digest: str) -> bool:
        if self.error:
            raise self.error
        if self.permits_deletion:
            self.deleted.append(image)
            for name in [name for name, known in self._digests.items() if known == digest]:
                del self._digests[name]
        return self.permits_deletion

    def find(self, image: str, *, fresh: bool = False) -> ImageFound | ImageMissing:
        self.asked.append(image)
        if self.error:
            raise self.error
        digest = self.remembered.get(image) if not fresh else None
        digest = digest or self._digests.get(image)
        return ImageFound(digest) if digest else ImageMissing()
