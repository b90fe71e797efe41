"""GitHub, or a GitHub Enterprise server: `gh/<owner>/<name>/<ref>`.

Branches and tags are read as git reads them, which costs nothing of the API's quota. Only the beginning of a commit id
needs the API: git does not look commits up by that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from functions.adapters.addresses import ChosenPool
from functions.adapters.http import RETRY, HttpClient, Retry
from functions.adapters.providers.api import Api, find_commit
from functions.adapters.providers.remote import chosen_remote
from functions.core.forges import GitHubSpec, parse_github
from functions.core.ports import ResolvedRepo

SERVICE = "GitHub"


def github_api(
    *,
    url: str = "https://api.github.com",
    token: str = "",
    timeout_s: float = 10.0,
    retry: Retry = RETRY,
    monotonic: Callable[[], float] = time.monotonic,
) -> Api:
    """GitHub's REST API, whose quota repositories and gists share. *token* raises it."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = HttpClient(SERVICE, url, headers=headers, timeout_s=timeout_s, retry=retry, pool=ChosenPool(url))
    return Api(client, monotonic=monotonic)


class GitHub:
    """Public repositories at *url*, which *api* knows too."""

    prefix = "gh"

    def __init__(
        self,
        *,
        url: str = "https://github.com",
        api: Api | None = None,
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
    ) -> None:
        self._url = url.rstrip("/")
        self._git = chosen_remote(SERVICE, self._url, timeout_s=timeout_s, retry=retry)
        self._api = api or github_api()

    @property
    def quota_remaining(self) -> int | None:
        """Requests that are left of the API's quota, as GitHub said last."""
        return self._api.quota_remaining

    def display_config(self) -> dict[str, Any]:
        host = self._url.partition("://")[2]
        return {
            "displayName": "GitHub",
            "id": self.prefix,
            "spec": {"validateRegex": r"[^/]+/[^/]+/.+"},
            "detect": {"regex": f"^(https?://{host}/)?(?<repo>.*[^/])/?"},
            "repo": {
                "label": "GitHub repository name or URL",
                "placeholder": f"example: binder-examples/requirements or {self._url}/binder-examples/requirements",
                "urlEncode": False,
            },
            "ref": {"enabled": True, "default": "HEAD"},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        named = parse_github(spec)
        repo_url = f"{self._url}/{named.owner}/{named.name}"
        sha, etag = find_commit(
            named.ref,
            by_name=lambda: self._git.commit(repo_url, named.ref),
            by_beginning=lambda: self._by_beginning(named, known),
        )
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=repo_url,
            sha=sha,
            slug=f"{named.owner}-{named.name}",
            resolved_spec=f"{named.owner}/{named.name}/{sha}",
            ref_url=f"{repo_url}/tree/{sha}",
            etag=etag,
        )

    def _by_beginning(self, named: GitHubSpec, known: ResolvedRepo | None) -> tuple[str, str] | None:
        # https://docs.github.com/en/rest/commits/commits#get-a-commit (422: no such commit, 409: no commits at all)
        return self._api.commit(
            f"repos/{named.owner}/{named.name}/commits/{named.ref}",
            named.ref,
            accept="application/vnd.github.sha",
            read=lambda answer: answer.body.decode(errors="replace").strip(),
            known=known,
        )
