"""Refs of a repository in a folder of this machine (`file://`), read from its files.

For installations that permit it, such as the local stack. https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from functions.adapters.providers.objects import Objects, Unreadable
from functions.core.errors import RefNotFound, RepoNotFound, UpstreamError
from functions.core.gitrefs import names_of
from functions.core.specs import is_sha

MAX_PACKED_REFS = 32 * 1024 * 1024
MAX_SYMBOLIC = 5
SYMBOLIC = "ref: "


class LocalRepository:
    """The repository, bare or not, at a file:// *url*. Raises RepoNotFound when there is none."""

    def __init__(self, url: str) -> None:
        self._url = url
        folder = Path(unquote(urlsplit(url).path))
        self._git = next((path for path in (folder / ".git", folder) if _is_repository(path)), folder)
        if not _is_repository(self._git):
            raise RepoNotFound(url)
        if (self._git / "reftable").is_dir():
            raise UpstreamError(url, "keeps its refs in a reftable, which cannot be read here.")

    def commit(self, ref: str) -> str:
        """The commit that *ref* names now. Raises RefNotFound."""
        packed = dict(self._packed())
        found = next((sha for name in names_of(ref) if (sha := self._sha(name, packed))), None)
        if found is None:
            raise RefNotFound(self._url, ref, default_branch=self._default_branch())
        try:
            return Objects(self._git / "objects").peeled(found)
        except (Unreadable, OSError) as error:
            raise UpstreamError(self._url, f"cannot be read: {error}.") from error

    def _sha(self, name: str, packed: dict[str, str]) -> str | None:
        for _ in range(MAX_SYMBOLIC):
            text = self._loose(name) or packed.get(name, "")
            if not text.startswith(SYMBOLIC):
                return text if is_sha(text) else None
            name = text.removeprefix(SYMBOLIC)
        return None

    def _loose(self, name: str) -> str:
        path = (self._git / name).resolve()
        if not path.is_relative_to(self._git.resolve()):
            return ""
        try:
            with path.open("rb") as file:
                return file.read(4096).decode(errors="replace").strip()
        except OSError:
            return ""

    def _packed(self) -> Iterator[tuple[str, str]]:
        path = self._git / "packed-refs"
        if not path.exists():
            return
        with path.open("rb") as file:
            for line in file.read(MAX_PACKED_REFS).decode(errors="replace").splitlines():
                sha, _, name = line.partition(" ")
                # Neither the heading nor the commit of the tag above, which Objects finds as well.
                if is_sha(sha):
                    yield name, sha

    def _default_branch(self) -> str | None:
        head = self._loose("HEAD")
        return head.removeprefix(SYMBOLIC + "refs/heads/") if head.startswith(SYMBOLIC) else None


def _is_repository(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()
