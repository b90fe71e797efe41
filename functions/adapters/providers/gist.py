"""GitHub's gists: `gist/<owner>/<id>[/<ref>]`.

Only the API knows whether a gist is secret, so it is asked, and its answer holds the revisions as well. Where secret
gists may be launched, git's own protocol answers for the newest revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from functions.adapters.http import RETRY, Answer, Retry
from functions.adapters.providers.answers import etag_of
from functions.adapters.providers.api import Api
from functions.adapters.providers.github import SERVICE, github_api
from functions.adapters.providers.remote import chosen_remote
from functions.core.errors import NotAllowed, RefNotFound, RepoNotFound, UpstreamError
from functions.core.forges import GistSpec, parse_gist
from functions.core.ports import ResolvedRepo
from functions.core.specs import is_sha, is_short_sha

# What BinderHub takes for the newest revision, whatever the gist's branch is called.
NEWEST = frozenset({"HEAD", "main", "master"})


@dataclass(frozen=True, slots=True)
class _Description:
    """`revisions` are commits, the newest first."""

    public: bool
    revisions: tuple[str, ...]


class Gist:
    """Gists at *url*, which *api* knows too; secret ones if *allow_secret*."""

    prefix = "gist"

    def __init__(
        self,
        *,
        url: str = "https://gist.github.com",
        api: Api | None = None,
        allow_secret: bool = False,
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
    ) -> None:
        self._url, self._allow_secret = url.rstrip("/"), allow_secret
        self._git = chosen_remote(SERVICE, self._url, timeout_s=timeout_s, retry=retry)
        self._api = api or github_api()

    def display_config(self) -> dict[str, Any]:
        host = self._url.partition("://")[2]
        return {
            "displayName": "GitHub Gist",
            "id": self.prefix,
            "spec": {"validateRegex": r"[^/]+/[^/]+(/[^/]+)?"},
            "detect": {"regex": f"^(https?://{host}/)?(?<repo>.*[^/])/?"},
            "repo": {"label": "Gist ID (username/gistId) or URL", "placeholder": "", "urlEncode": False},
            "ref": {"enabled": True, "default": "HEAD"},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        named = parse_gist(spec)
        page = f"{self._url}/{named.owner}/{named.gist_id}"
        sha, etag = self._revision(named, page, known)
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=f"{page}.git",
            sha=sha,
            slug=named.gist_id,
            resolved_spec=f"{named.owner}/{named.gist_id}/{sha}",
            ref_url=f"{page}/{sha}",
            etag=etag,
        )

    def _revision(self, named: GistSpec, page: str, known: ResolvedRepo | None) -> tuple[str, str]:
        """The commit, and the ETag if the API vouches that the gist is public."""
        if self._allow_secret and named.ref in NEWEST:
            return self._git.commit(f"{page}.git", "HEAD"), ""
        if self._allow_secret and is_sha(named.ref):
            return named.ref, ""
        # https://docs.github.com/en/rest/gists/gists#get-a-gist
        etag = known.etag if known else ""
        answer = self._api.get(f"gists/{named.gist_id}", accept="application/vnd.github+json", etag=etag)
        if answer is None:
            raise RepoNotFound(page)
        if known and answer.status == 304:
            return known.sha, known.etag
        gist = _described(answer)
        if not (gist.public or self._allow_secret):
            raise NotAllowed(f"{page} is a secret gist. Only public gists may be launched here.")
        # Where secret gists are allowed no ETag is kept: it would let them through when they are not any more.
        return _chosen(gist.revisions, named.ref, page), "" if self._allow_secret else etag_of(answer)


def _described(answer: Answer) -> _Description:
    gist = answer.json()
    try:
        revisions = tuple(revision["version"] for revision in gist["history"])
        public = gist["public"] is True
    except (KeyError, TypeError) as error:
        raise _not_a_gist() from error
    if not revisions or not all(isinstance(sha, str) and is_sha(sha) for sha in revisions):
        raise _not_a_gist()
    return _Description(public, revisions)


def _not_a_gist() -> UpstreamError:
    return UpstreamError(SERVICE, "answered something that does not describe a gist.")


def _chosen(revisions: tuple[str, ...], ref: str, page: str) -> str:
    if ref in NEWEST:
        return revisions[0]
    whole_or_beginning = is_sha(ref) or is_short_sha(ref)
    found = {sha for sha in revisions if sha.startswith(ref)} if whole_or_beginning else set()
    if len(found) == 1:
        return found.pop()
    hint = "More than one of its revisions begins so." if found else "Name one of its revisions, or HEAD."
    raise RefNotFound(page, ref, hint=hint)
