"""An environment for one container alone, on a machine where nothing but its own copy keeps it from changing others'.

The copy mentions its own folder wherever the original mentions its. That holds in programs as well as in text, because
the two paths are equally long.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from emulator.images.errors import ImageError
from emulator.images.pull import PulledImage
from emulator.images.references import nowhere, replaced
from emulator.images.tree import Entry, Kind, hash_of, scan


def with_own_environment(image: PulledImage, into: Path) -> PulledImage:
    """The same image, but its environment is a new copy in the folder *into*.

    Raises ImageError when the original is no longer what its name says: whoever can write to a copy can write to it.
    What is in *into* then is of no use.
    """
    original = image.environment
    if original is None:
        return image
    if len(bytes(into)) != len(bytes(original)):
        raise ImageError(f"{original} cannot be copied to {into}: the paths are not equally long.")
    if _copied(original, into) != original.name:
        raise ImageError(f"{original} was changed.")

    def moved(text: str) -> str:
        return text.replace(str(original), str(into))

    return replace(
        image,
        environment=into,
        env={name: moved(value) for name, value in image.env.items()},
        entrypoint=tuple(map(moved, image.entrypoint)),
        command=tuple(map(moved, image.command)),
    )


def _copied(original: Path, into: Path) -> str:
    """Copy, and return the tree hash of what was read."""
    if original.is_symlink():
        raise ImageError(f"{original} was replaced by a link.")
    into.mkdir(parents=True)
    return hash_of([(entry, _copy(entry, original, into)) for entry in scan(original)])


def _copy(entry: Entry, original: Path, into: Path) -> str:
    place, seen = into / entry.path, hashlib.sha256(os.fsencode(entry.target))
    match entry.kind:
        case Kind.FOLDER:
            place.mkdir()
        case Kind.LINK:
            place.symlink_to(entry.target)
        case Kind.FILE:
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, entry.mode & 0o555)
            with open(descriptor, "wb", buffering=0) as file:
                written = _written(replaced(entry.blocks(), bytes(original), bytes(into)), file)
                for block in replaced(written, bytes(into), bytes(nowhere(original))):
                    seen.update(block)
    return seen.hexdigest()


def _written(blocks: Iterator[bytes], file: IO[bytes]) -> Iterator[bytes]:
    for block in blocks:
        file.write(block)
        yield block
