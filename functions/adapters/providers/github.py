"""GitHub, or a GitHub Enterprise server: `gh/<owner>/<name>/<ref>`.

Branches and tags are read as git reads them, which costs nothing of the API's quota. Only the beginning of a commit id
needs the API: git does not look commits up by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from functions.adapters.http import RETRY, Answer, HttpClient, Retry
from functions.adapters.providers.remote import USER_AGENT, GitRemote
from functions.core.errors import RateLimited, RefNotFound, UpstreamError
from functions.core.ports import ResolvedRepo
from functions.core.specs import is_sha, is_short_sha, parse_github

# A limit that comes without a time: https://docs.github.com/en/rest/using-the-rest-api/best-practices
UNTOLD_LIMIT_S = 60.0


class GitHub:
    """Public repositories at *url*; *token* raises the quota of the API at *api_url*."""

    prefix = "gh"

    def __init__(
        self,
        *,
        url: str = "https://github.com",
        api_url: str = "https://api.github.com",
        token: str = "",
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
    ) -> None:
        self._url = url.rstrip("/")
        as_git = {"User-Agent": USER_AGENT}
        self._git = GitRemote(HttpClient("GitHub", headers=as_git, timeout_s=timeout_s, retry=retry))
        headers = {"Accept": "application/vnd.github.sha", **({"Authorization": f"Bearer {token}"} if token else {})}
        self._api = HttpClient("GitHub", api_url, headers=headers, timeout_s=timeout_s, retry=retry)

    def display_config(self) -> dict[str, Any]:
        host = urlsplit(self._url).netloc
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
        sha = self._commit(named.owner, named.name, named.ref)
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=repo_url,
            sha=sha,
            slug=f"{named.owner}-{named.name}",
            resolved_spec=f"{named.owner}/{named.name}/{sha}",
            ref_url=f"{repo_url}/tree/{sha}",
        )

    def _commit(self, owner: str, name: str, ref: str) -> str:
        if is_sha(ref):
            return ref
        try:
            return self._git.commit(f"{self._url}/{owner}/{name}", ref)
        except RefNotFound:
            sha = self._by_beginning(owner, name, ref) if is_short_sha(ref) else None
            if sha is None:
                raise
            return sha

    def _by_beginning(self, owner: str, name: str, beginning: str) -> str | None:
        # https://docs.github.com/en/rest/commits/commits#get-a-commit (422: no such commit, 409: no commits at all)
        answer = self._api.request(
            "GET", f"repos/{owner}/{name}/commits/{beginning}", expect=(200, 403, 404, 409, 422, 429), follow=3
        )
        if answer.status in (403, 429):
            raise _limited(answer)
        if answer.status != 200:
            return None
        sha = answer.body.decode(errors="replace").strip()
        if not is_sha(sha):
            raise UpstreamError("GitHub", "answered something that is not the id of a commit.")
        # A branch made a moment ago may be called so; ids are what was asked for.
        return sha if sha.startswith(beginning) else None


def _limited(answer: Answer) -> UpstreamError:
    """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit"""
    header = answer.headers.get
    if retry_after := _seconds(header("Retry-After")):
        return RateLimited("GitHub", retry_after_s=retry_after)
    if header("X-RateLimit-Remaining") == "0":
        return RateLimited("GitHub", retry_after_s=_until_reset_s(answer.headers))
    if answer.status == 429:
        return RateLimited("GitHub", retry_after_s=UNTOLD_LIMIT_S)
    return UpstreamError("GitHub", "does not let us look commits up.")


def _until_reset_s(headers: Mapping[str, str]) -> float:
    """Seconds until the quota is full again, by GitHub's own clock."""
    reset_s = _seconds(headers.get("X-RateLimit-Reset"))
    try:
        now_s = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (TypeError, ValueError):
        return UNTOLD_LIMIT_S
    return max(1.0, reset_s - now_s) if reset_s else UNTOLD_LIMIT_S


def _seconds(text: str | None) -> float | None:
    return float(text[:12]) if text and text.isascii() and text.isdigit() else None
