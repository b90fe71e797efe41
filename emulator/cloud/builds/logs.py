"""The logs of builds: objects `log-<build id>.txt` of buckets, which are folders."""

from __future__ import annotations

import os
from pathlib import Path

from emulator.cloud.builds.messages import Build
from emulator.cloud.builds.validation import bucket_of

MAX_LOG_BYTES = 64 * 1024 * 1024
_CUT = b"The log is longer than the emulator keeps; the rest is left out.\n"


class Log:
    """The log of one build: whole lines are appended, also after a restart. Not wanted, it takes lines and keeps none.

    As the service does it, nobody sees the object before the end of the build unless the log is streamed.
    """

    def __init__(self, path: Path | None, *, streamed: bool) -> None:
        self._shown = path
        self._path = path if path is None or streamed else path.with_name(f".{path.name}")
        self._size = 0
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._size = _cut_to_lines(self._path)

    @property
    def size(self) -> int:
        """The bytes that are written."""
        return self._size

    def lines_after(self, offset: int) -> int:
        """How many lines were written after *offset* bytes."""
        if self._path is None:
            return 0
        with self._path.open("rb") as file:
            file.seek(offset)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def write(self, text: str, *, prefix: str = "") -> None:
        """Append lines, each with *prefix*."""
        for line in text.split("\n"):
            self.append(line.encode(), prefix=prefix)

    def append(self, line: bytes, *, prefix: str = "") -> None:
        """Append one line, given without its end."""
        if self._path is None or self._size >= MAX_LOG_BYTES:
            return
        whole = prefix.encode() + line + b"\n"
        if self._size + len(whole) > MAX_LOG_BYTES:
            whole = _CUT.ljust(MAX_LOG_BYTES - self._size, b"\n")
        with self._path.open("ab") as file:
            file.write(whole)
        self._size += len(whole)

    def close(self) -> None:
        """Show what was not shown while it was written."""
        if self._path is not None and self._path != self._shown and self._path.exists():
            self._path.replace(self._shown or self._path)


class Buckets:
    """Folders of objects, by bucket."""

    def __init__(self, folder: Path, default_bucket: str) -> None:
        self._folder = folder
        self._default = default_bucket

    def log_of(self, build: Build) -> Log:
        """The log of *build*, to be written on."""
        options = build.get("options", {})
        if options.get("logging") in ("NONE", "CLOUD_LOGGING_ONLY", "STACKDRIVER_ONLY"):
            return Log(None, streamed=False)
        return Log(self._path_of(build), streamed=options.get("logStreamingOption") != "STREAM_OFF")

    def find(self, bucket: str, name: str) -> Path | None:
        """The file of an object; None when there is none. Names come from strangers."""
        path = self._folder / bucket / name
        plain = all(part and "/" not in part and not part.startswith(".") for part in (bucket, name))
        return path if plain and path.is_file() else None

    def forget(self, build: Build) -> None:
        """Remove the log of a build."""
        self._path_of(build).unlink(missing_ok=True)

    def _path_of(self, build: Build) -> Path:
        return self._folder / (bucket_of(build) or self._default) / f"log-{build['id']}.txt"


def _cut_to_lines(path: Path) -> int:
    """Remove half a line that a crash has left; returns the size."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        while size:
            block = min(size, 4096)
            file.seek(size - block)
            end = file.read(block).rfind(b"\n")
            if end >= 0:
                size = size - block + end + 1
                break
            size -= block
        file.truncate(size)
        return size
