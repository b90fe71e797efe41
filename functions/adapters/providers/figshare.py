"""figshare: `figshare/<DOI>`, whose `.v<version>` may be left out for the newest.

https://docs.figshare.com/#article_versions
"""

from __future__ import annotations

from typing import Any

from functions.adapters.addresses import ChosenPool, PublicPool
from functions.adapters.http import RETRY, Answer, HttpClient, Retry
from functions.adapters.providers.answers import etag_of, if_changed
from functions.adapters.providers.dois import ABSENT, DOI_ORG, Dois
from functions.core.data_specs import FigshareSpec, parse_figshare
from functions.core.errors import RepoNotFound, UpstreamError
from functions.core.ports import ResolvedRepo


class Figshare:
    """Public articles. Versions are asked of the API at *api_url*, which the operator chose; what it redirects to is
    reached through *pool*."""

    prefix = "figshare"

    def __init__(
        self,
        dois: Dois,
        *,
        api_url: str = "https://api.figshare.com",
        pool: PublicPool,
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
    ) -> None:
        self._dois = dois
        chosen = ChosenPool(api_url, elsewhere=pool)
        self._api = HttpClient("figshare", api_url, timeout_s=timeout_s, retry=retry, pool=chosen)

    def display_config(self) -> dict[str, Any]:
        return {
            "displayName": "FigShare DOI",
            "id": self.prefix,
            "spec": {"validateRegex": r"10\.\d+\/(.)+"},
            "repo": {
                "label": "FigShare DOI",
                "placeholder": "example: 10.6084/m9.figshare.9782777.v1",
                "urlEncode": False,
            },
            "ref": {"enabled": False},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        named = parse_figshare(spec)
        # The build begins at the DOI, so it must be there even if the version is known.
        next(self._dois.addresses(named.doi))
        if named.version is not None:
            return self._resolved(spec, named, named.version)
        url = f"v2/articles/{named.article}/versions"
        answer = self._api.request("GET", url, headers=if_changed(known), expect=(200, 304, *ABSENT), follow=3)
        if answer.status == 304 and known:
            return known
        return self._resolved(spec, named, _newest(answer, named), etag=etag_of(answer))

    def _resolved(self, spec: str, named: FigshareSpec, version: int, *, etag: str = "") -> ResolvedRepo:
        sha = f"{named.article}.v{version}"
        resolved = f"10.6084/m9.figshare.{sha}"
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=named.doi,
            sha=sha,
            slug=f"figshare-{sha}",
            resolved_spec=resolved,
            ref_url=f"{DOI_ORG}/{resolved}",
            etag=etag,
        )


def _newest(answer: Answer, named: FigshareSpec) -> int:
    if answer.status in ABSENT:
        raise RepoNotFound(named.doi, f"There is no public article {named.article} at figshare.")
    listed = answer.json()
    if listed == []:
        raise RepoNotFound(named.doi, f"Article {named.article} has no versions.")
    try:
        return max(int(item["version"]) for item in listed)
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamError("figshare", "answered something that is no list of versions.") from error
