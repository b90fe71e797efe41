"""Any git repository on the web, by its address: `git/<percent-encoded address>/<ref>`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from functions.adapters.addresses import PublicPool
from functions.adapters.http import RETRY, HttpClient, Retry
from functions.adapters.providers.local import LocalRepository
from functions.adapters.providers.remote import USER_AGENT, GitRemote
from functions.core.errors import NotAllowed, RefNotFound
from functions.core.ports import ResolvedRepo
from functions.core.specs import is_sha, is_short_sha, parse_git


class Git:
    """Repositories at addresses that people choose; *pool* decides which hosts may be reached, *file_folders* holds
    what may be launched of this machine."""

    prefix = "git"

    def __init__(
        self,
        *,
        allow_http: bool = False,
        allow_private_addresses: bool = False,
        file_folders: Sequence[Path] = (),
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
        pool: PublicPool | None = None,
    ) -> None:
        self._allow_http, self._file_folders = allow_http, tuple(folder.resolve() for folder in file_folders)
        self._timeout_s, self._retry = timeout_s, retry
        self._pool = pool or PublicPool(allow_private=allow_private_addresses)

    def display_config(self) -> dict[str, Any]:
        return {
            "displayName": "Git repository",
            "id": self.prefix,
            "spec": {"validateRegex": r"[^/]+/.+"},
            "repo": {
                "label": "Arbitrary git repository URL",
                "placeholder": "example: http://git.example.com/repo",
                "urlEncode": True,
            },
            "ref": {"enabled": True, "default": "HEAD"},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        named = parse_git(spec, allow_http=self._allow_http, allow_file=bool(self._file_folders))
        sha = self._commit(named.url, named.ref)
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=named.url,
            sha=sha,
            slug=named.url,
            resolved_spec=f"{named.escaped_url}/{sha}",
            ref_url=named.url,
        )

    def _commit(self, url: str, ref: str) -> str:
        local = url.startswith("file:")
        if local:
            self._check_folder(url)
        if is_sha(ref):
            # There is nothing to ask, but the build will go there.
            if not local:
                self._pool.check(url)
            return ref
        try:
            return LocalRepository(url).commit(ref) if local else self._remote(url).commit(url, ref)
        except RefNotFound as error:
            if not is_short_sha(ref):
                raise
            hint = "If it begins a commit's id: give all 40 characters of it."
            raise RefNotFound(error.repo_url, ref, default_branch=error.default_branch, hint=hint) from error

    def _check_folder(self, url: str) -> None:
        folder = Path(unquote(urlsplit(url).path)).resolve()
        if not any(folder.is_relative_to(allowed) for allowed in self._file_folders):
            raise NotAllowed(f"{url} is not in a folder whose repositories may be launched here.")

    def _remote(self, url: str) -> GitRemote:
        host = urlsplit(url).hostname or "The git host"
        headers = {"User-Agent": USER_AGENT}
        return GitRemote(
            HttpClient(host, headers=headers, timeout_s=self._timeout_s, retry=self._retry, pool=self._pool.visit())
        )
