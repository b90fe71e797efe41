"""CKAN, at any site: `ckan/<percent-encoded address of a dataset>`. The time of the last change stands for a version.

https://docs.ckan.org/en/latest/api/
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from functions.adapters.addresses import PublicPool
from functions.adapters.http import RETRY, Answer, HttpClient, Retry
from functions.adapters.providers.answers import etag_of, if_changed, json_object
from functions.adapters.providers.dois import ABSENT
from functions.core.data_specs import CkanSpec, changed_at, parse_ckan
from functions.core.errors import RepoNotFound, UpstreamError
from functions.core.ports import ResolvedRepo

# CKAN's way to say that an id is of nothing.
INVALID = 409


class Ckan:
    """Public datasets at addresses that people choose; *pool* decides which hosts may be reached."""

    prefix = "ckan"

    def __init__(
        self, *, pool: PublicPool, allow_http: bool = False, timeout_s: float = 10.0, retry: Retry = RETRY
    ) -> None:
        self._pool, self._allow_http = pool, allow_http
        self._timeout_s, self._retry = timeout_s, retry

    def display_config(self) -> dict[str, Any]:
        return {
            "displayName": "CKAN dataset",
            "id": self.prefix,
            "spec": {"validateRegex": r"[^/]+"},
            "repo": {
                "label": "CKAN dataset URL",
                "placeholder": "https://demo.ckan.org/dataset/my-sample-dataset-001",
                "urlEncode": True,
            },
            "ref": {"enabled": False},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        named = parse_ckan(spec, allow_http=self._allow_http)
        answer = self._ask(named, known)
        if answer.status == 304 and known:
            return known
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=named.url,
            sha=f"{named.dataset}.v{_changed_at(answer, named)}",
            slug=f"ckan-{named.dataset}",
            resolved_spec=named.url,
            ref_url=named.url,
            etag=etag_of(answer),
        )

    def _ask(self, named: CkanSpec, known: ResolvedRepo | None) -> Answer:
        host = urlsplit(named.url).hostname or "The CKAN site"
        api = HttpClient(host, named.api_url, timeout_s=self._timeout_s, retry=self._retry, pool=self._pool.visit())
        query = {"id": named.dataset}
        action = "package_show"
        if named.activity:
            query, action = {"id": named.activity, "object_type": "package"}, "activity_data_show"
        url = f"{action}?{urlencode(query)}"
        return api.request("GET", url, headers=if_changed(known), expect=(200, 304, INVALID, *ABSENT), follow=3)


def _changed_at(answer: Answer, named: CkanSpec) -> int:
    if answer.status in (INVALID, *ABSENT) or json_object(answer).get("success") is False:
        state = f" as of activity {named.activity}" if named.activity else ""
        raise RepoNotFound(named.url, f"{answer.service} has no public dataset {named.dataset}{state}.")
    changed = changed_at(json_object(answer, "result").get("metadata_modified"))
    if changed is None:
        raise UpstreamError(answer.service, f"does not tell when the dataset {named.dataset} was changed last.")
    return changed
