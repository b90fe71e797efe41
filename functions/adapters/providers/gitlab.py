"""GitLab.com, or a GitLab of one's own: `gl/<percent-encoded path of the project>/<ref>`.

As on GitHub, git's own protocol answers for branches and tags, and the API only for the beginning of a commit id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from functions.adapters.addresses import ChosenPool
from functions.adapters.http import RETRY, Answer, HttpClient, Retry
from functions.adapters.providers.api import Api, find_commit
from functions.adapters.providers.remote import chosen_remote
from functions.core.forges import GitLabSpec, parse_gitlab
from functions.core.ports import ResolvedRepo

SERVICE = "GitLab"


class GitLab:
    """Public projects at *url*, which may have a path (`https://example.org/gitlab`); *token* is for the API."""

    prefix = "gl"

    def __init__(
        self,
        *,
        url: str = "https://gitlab.com",
        token: str = "",
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._git = chosen_remote(SERVICE, self._url, timeout_s=timeout_s, retry=retry)
        client = HttpClient(
            SERVICE,
            f"{self._url}/api/v4",
            # https://docs.gitlab.com/api/rest/authentication/#personalprojectgroup-access-tokens
            headers={"PRIVATE-TOKEN": token} if token else {},
            timeout_s=timeout_s,
            retry=retry,
            pool=ChosenPool(self._url),
        )
        self._api = Api(client, monotonic=monotonic)

    def display_config(self) -> dict[str, Any]:
        host = self._url.partition("://")[2]
        project = "mosaik/examples/mosaik-tutorials-on-binder"
        return {
            "displayName": "GitLab",
            "id": self.prefix,
            "spec": {"validateRegex": r"[^/]+/.+"},
            "detect": {"regex": f"^(https?://{host}/)?(?<repo>.*[^/])/?"},
            "repo": {
                "label": "GitLab repository name or URL",
                "placeholder": f"example: {self._url}/{project} or {project}",
                "urlEncode": True,
            },
            "ref": {"enabled": True, "default": "HEAD"},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        named = parse_gitlab(spec)
        page = f"{self._url}/{named.project}"
        sha, etag = find_commit(
            named.ref,
            by_name=lambda: self._git.commit(f"{page}.git", named.ref),
            by_beginning=lambda: self._by_beginning(named, known),
        )
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=f"{page}.git",
            sha=sha,
            # BinderHub's way to keep a-b/c and a/b-c apart.
            slug=named.project.replace("-", "_-").replace("/", "-"),
            resolved_spec=f"{named.escaped_project}/{sha}",
            ref_url=f"{page}/tree/{sha}",
            etag=etag,
        )

    def _by_beginning(self, named: GitLabSpec, known: ResolvedRepo | None) -> tuple[str, str] | None:
        # https://docs.gitlab.com/api/commits/#retrieve-a-commit
        path = f"projects/{quote(named.project, safe='')}/repository/commits/{named.ref}"
        return self._api.commit(path, named.ref, accept="application/json", read=_id, known=known)


def _id(answer: Answer) -> object:
    commit = answer.json()
    return commit.get("id") if isinstance(commit, dict) else None
