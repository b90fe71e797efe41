"""Uploads under way: files that grow until their digest is proven."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from emulator.cloud.registry.errors import RegistryError

ABANDONED_AFTER_S = 24 * 3600


class Upload:
    """One open upload; used by one request at a time. Its methods block on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sha256: Any = hashlib.sha256()
        self._file: IO[bytes] = open(path, "a+b", buffering=0)  # noqa: SIM115 - closed with the request
        self._file.seek(0)
        # What an earlier request wrote counts; it may have been an earlier process.
        while block := self._file.read(1024 * 1024):
            self._sha256.update(block)
        self.size = self._file.tell()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self.size += len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"

    def close(self) -> None:
        self._file.close()


class Uploads:
    """The folder of uploads, a subfolder per repository: nobody continues another repository's upload by its id."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._busy: set[Path] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.rglob("*.upload"):
            if path.stat().st_mtime < clock() - ABANDONED_AFTER_S:
                path.unlink()

    def begin(self, repository: str) -> str:
        """Open a new, empty upload and return its id."""
        upload_id = str(uuid.uuid4())
        path = self._path(repository, upload_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return upload_id

    def size(self, repository: str, upload_id: str) -> int:
        return self._known(repository, upload_id).stat().st_size

    def open(self, repository: str, upload_id: str) -> Upload:
        """Continue an upload; `leave` must follow. Two requests cannot write to one upload."""
        path = self._known(repository, upload_id)
        if path in self._busy:
            raise RegistryError("BLOB_UPLOAD_INVALID", "this upload is being written to")
        self._busy.add(path)
        try:
            return Upload(path)
        except BaseException:
            self._busy.discard(path)
            raise

    def leave(self, repository: str, upload_id: str, upload: Upload) -> None:
        """End the request's use of the upload."""
        upload.close()
        self._busy.discard(self._path(repository, upload_id))

    def keep(self, repository: str, upload_id: str, blob: Path) -> None:
        """Make the complete upload the file *blob*, in one step."""
        blob.parent.mkdir(parents=True, exist_ok=True)
        self._known(repository, upload_id).rename(blob)

    def cancel(self, repository: str, upload_id: str) -> None:
        """Forget the upload."""
        with suppress(FileNotFoundError):
            self._known(repository, upload_id).unlink()

    def _known(self, repository: str, upload_id: str) -> Path:
        path = self._path(repository, upload_id)
        if not path.is_file():
            raise RegistryError("BLOB_UPLOAD_UNKNOWN", "no such upload")
        return path

    def _path(self, repository: str, upload_id: str) -> Path:
        try:
            canonical = str(uuid.UUID(upload_id))
        except ValueError as error:
            raise RegistryError("BLOB_UPLOAD_UNKNOWN", "no such upload") from error
        return self._folder / repository / f"{canonical}.upload"
