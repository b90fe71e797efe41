"""What the data source archive_file does, as far as the project uses it: a folder becomes a zip, but for `excludes`.

https://registry.terraform.io/providers/hashicorp/archive/latest/docs/data-sources/file
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def write_archive(source_dir: Path, output_path: Path, excludes: Sequence[str]) -> dict[str, Any]:
    """Write the zip; the attributes of the data source that tell of it."""
    output_path.parent.mkdir(parents=True, exist_ok=True)
    unwanted = re.compile("|".join(map(_pattern, excludes)) or r"(?!)")
    with zipfile.ZipFile(output_path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in _files(source_dir, source_dir, unwanted):
            # The same content is the same archive, whenever it was written.
            entry = zipfile.ZipInfo(file.relative_to(source_dir).as_posix(), date_time=(2049, 1, 1, 0, 0, 0))
            archive.writestr(entry, file.read_bytes(), compress_type=zipfile.ZIP_DEFLATED)
    content = output_path.read_bytes()
    sha256 = hashlib.sha256(content)
    return {
        "output_size": len(content),
        "output_sha256": sha256.hexdigest(),
        "output_base64sha256": base64.b64encode(sha256.digest()).decode(),
    }


def _files(folder: Path, root: Path, unwanted: re.Pattern[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if unwanted.fullmatch(path.relative_to(root).as_posix()):
            continue
        if path.is_dir():
            yield from _files(path, root, unwanted)
        elif path.is_file():
            yield path


def _pattern(glob: str) -> str:
    """The regular expression of a glob in which ** stands for any number of folders, none included."""
    parts = {"**/": "(?:[^/]+/)*", "/**": "(?:/.*)?", "*": "[^/]*"}
    return "".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*/|/\*\*|\*)", glob))
