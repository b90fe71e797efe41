"""HydroShare: `hydroshare/<resource id, address or DOI>`. There are no versions; the time of the last change stands
for one.

https://www.hydroshare.org/hsapi/
"""

from __future__ import annotations

from typing import Any

from functions.adapters.addresses import ChosenPool, PublicPool
from functions.adapters.http import RETRY, HttpClient, Retry
from functions.adapters.providers.answers import json_object
from functions.adapters.providers.dois import ABSENT
from functions.core.data_specs import changed_at, parse_hydroshare
from functions.core.errors import RepoNotFound, UpstreamError
from functions.core.ports import ResolvedRepo


class HydroShare:
    """Public resources at *url*, which the operator chose; what it redirects to is reached through *pool*."""

    prefix = "hydroshare"

    def __init__(
        self,
        *,
        url: str = "https://www.hydroshare.org",
        pool: PublicPool,
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
    ) -> None:
        self._url = url.rstrip("/")
        chosen = ChosenPool(self._url, elsewhere=pool)
        self._api = HttpClient("HydroShare", self._url, timeout_s=timeout_s, retry=retry, pool=chosen)

    def display_config(self) -> dict[str, Any]:
        return {
            "displayName": "Hydroshare resource",
            "id": self.prefix,
            "spec": {"validateRegex": r"[^/]+"},
            "repo": {
                "label": "Hydroshare resource id",
                "placeholder": "example: 8f7c2f0341ef4180b0dbe97f59130756",
                "urlEncode": True,
            },
            "ref": {"enabled": False},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        resource = parse_hydroshare(spec)
        sha = f"{resource}.v{self._changed_at(resource)}"
        repo_url = f"{self._url}/resource/{resource}"
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=repo_url,
            sha=sha,
            slug=f"hydroshare-{sha}",
            resolved_spec=repo_url,
            ref_url=repo_url,
        )

    def _changed_at(self, resource: str) -> int:
        url = f"hsapi/resource/{resource}/scimeta/elements"
        answer = self._api.request("GET", url, expect=(200, *ABSENT), follow=3)
        if answer.status in ABSENT:
            raise RepoNotFound(resource, f"There is no public resource {resource} at HydroShare.")
        dates = json_object(answer).get("dates")
        for date in dates if isinstance(dates, list) else []:
            if isinstance(date, dict) and date.get("type") == "modified":
                changed = changed_at(date.get("start_date"))
                if changed is not None:
                    return changed
        raise UpstreamError("HydroShare", f"does not tell when resource {resource} was changed last.")
