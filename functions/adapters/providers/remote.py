"""Refs of a repository over smart HTTP, as `git ls-remote` reads them, without git.

One POST asks in protocol v2 for just the refs that matter. Servers that do not take it so, be it for an older protocol
or for a redirect, are asked for `info/refs` first, as git asks.
"""

from __future__ import annotations

from contextlib import suppress

from functions.adapters.addresses import ChosenPool
from functions.adapters.http import MIB, Answer, HttpClient, Retry
from functions.core.errors import InvalidSpec, RefNotFound, RepoNotFound, UpstreamError
from functions.core.gitrefs import (
    Capabilities,
    NotGit,
    Refs,
    choose,
    default_branch,
    ls_refs_request,
    names_of,
    parse_advertisement,
    parse_ls_refs,
)

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
REQUEST = "application/x-git-upload-pack-request"
RESULT = "application/x-git-upload-pack-result"
DISCOVERY = "/info/refs?service=git-upload-pack"
# Some hosts show git what they hide from robots, and know it by its name.
USER_AGENT = "git/2.39.5 (binderless)"
V2 = {"Git-Protocol": "version=2"}

PRIVATE = frozenset({401, 403})
ABSENT = frozenset({401, 403, 404, 410, 451})
# Answers to the POST that leave hope for another question.
UNSUITED = frozenset({303, 400, 404, 405, 406, 411, 415, 422, 500, 501})
REDIRECTS = 3
MAX_BYTES = 4 * MIB


class GitRemote:
    """Repositories that *client* can reach."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def commit(self, url: str, ref: str) -> str:
        """The commit that *ref* of the repository at *url* names now.

        Raises RefNotFound, RepoNotFound, InvalidSpec when *url* is a page and no repository, UpstreamError.
        """
        refs = self._refs(url, ref)
        sha = choose(refs, ref)
        if sha is None:
            raise RefNotFound(url, ref, default_branch=default_branch(refs))
        return sha

    def _refs(self, url: str, ref: str) -> Refs:
        answer = self._ls_refs(url, ref)
        if answer.status in PRIVATE:
            raise RepoNotFound(url)
        if _holds(answer, RESULT):
            # A server that does not know protocol v2 breaks off here, for the request has made no sense to it.
            with suppress(NotGit):
                return parse_ls_refs(answer.body, keep=_told(ref))
        try:
            return self._advertised(url, ref)
        except NotGit as error:
            raise UpstreamError(self._client.service, f"{error}.") from error

    def _advertised(self, url: str, ref: str) -> Refs:
        answer = self._client.request(
            "GET",
            url.rstrip("/") + DISCOVERY,
            headers=V2,
            expect={200, *ABSENT},
            max_bytes=MAX_BYTES,
            follow=REDIRECTS,
        )
        if answer.status in ABSENT:
            raise RepoNotFound(url)
        base, found, _ = answer.url.rpartition(DISCOVERY)
        if not found or not _holds(answer, ADVERTISEMENT):
            raise InvalidSpec(f"{url} is not the address of a git repository.")
        refs = parse_advertisement(answer.body, keep=_told(ref))
        if not isinstance(refs, Capabilities):
            return refs
        answer = self._ls_refs(base, ref, object_format=refs.object_format)
        if not _holds(answer, RESULT):
            raise UpstreamError(self._client.service, f"answered {answer.status} where git lists its refs.")
        return parse_ls_refs(answer.body, keep=_told(ref))

    def _ls_refs(self, url: str, ref: str, *, object_format: str = "sha1") -> Answer:
        return self._client.request(
            "POST",
            f"{url.rstrip('/')}/git-upload-pack",
            headers={**V2, "Content-Type": REQUEST, "Accept": RESULT},
            body=ls_refs_request(ref, object_format=object_format),
            expect={200, *PRIVATE, *UNSUITED},
            max_bytes=MAX_BYTES,
            repeatable=True,
            follow=REDIRECTS,
        )


def chosen_remote(service: str, url: str, *, timeout_s: float, retry: Retry) -> GitRemote:
    """The repositories below *url*, an address that the operator has chosen."""
    headers = {"User-Agent": USER_AGENT}
    return GitRemote(HttpClient(service, headers=headers, timeout_s=timeout_s, retry=retry, pool=ChosenPool(url)))


def _told(ref: str) -> set[str]:
    """The refs worth keeping of all that a host may send."""
    return {"HEAD", *names_of(ref)}


def _holds(answer: Answer, content_type: str) -> bool:
    return answer.status == 200 and answer.headers.get("Content-Type", "").partition(";")[0].strip() == content_type
