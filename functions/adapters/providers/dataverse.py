"""Dataverse, at any of its installations: `dataverse/<DOI>`. The newest published version is what is meant.

https://guides.dataverse.org/en/latest/api/native-api.html#get-json-representation-of-a-dataset
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from functions.adapters.addresses import PublicPool
from functions.adapters.http import RETRY, HttpClient, Retry
from functions.adapters.providers.answers import json_object
from functions.adapters.providers.dois import ABSENT, DOI_ORG, Dois
from functions.core.data_specs import WEB_ADDRESS, parse_doi
from functions.core.errors import InvalidSpec, RepoNotFound, UpstreamError
from functions.core.names import escaped
from functions.core.ports import ResolvedRepo

# The answer lists all files of a dataset.
MAX_BYTES = 16 * 1024 * 1024
# An image's tag is made of these numbers.
BIGGEST = 10**12
PUBLISHED = frozenset({"RELEASED", "ARCHIVED", None})


class Dataverse:
    """Datasets wherever their DOI leads; *pool* decides which hosts may be reached."""

    prefix = "dataverse"

    def __init__(self, dois: Dois, *, pool: PublicPool, timeout_s: float = 10.0, retry: Retry = RETRY) -> None:
        self._dois, self._pool = dois, pool
        self._timeout_s, self._retry = timeout_s, retry

    def display_config(self) -> dict[str, Any]:
        return {
            "displayName": "Dataverse DOI",
            "id": self.prefix,
            "spec": {"validateRegex": r"10\.\d+\/(.)+"},
            "repo": {
                "label": "Dataverse DOI",
                "placeholder": "example: 10.7910/DVN/TJCLKP",
                "urlEncode": False,
            },
            "ref": {"enabled": False},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        doi = parse_doi(spec)
        page = self._page(doi)
        data = self._dataset(page, doi)
        resolved, identifier = _name(data, doi, host=urlsplit(page).hostname)
        link = data.get("persistentUrl")
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=doi,
            sha=_version(data, doi, host=urlsplit(page).hostname),
            slug=f"dataverse-{escaped(identifier).lower()}",
            resolved_spec=resolved,
            ref_url=link if isinstance(link, str) and WEB_ADDRESS.fullmatch(link) else f"{DOI_ORG}/{resolved}",
        )

    def _page(self, doi: str) -> str:
        """The dataset's page, which has its id in the query. Where that leads to does not matter."""
        host: str | None = ""
        for address in self._dois.addresses(doi):
            if parse_qs(urlsplit(address).query).get("persistentId"):
                return address
            host = urlsplit(address).hostname
        raise InvalidSpec(f"DOI {doi} leads to {host}, which does not look like a Dataverse.")

    def _dataset(self, page: str, doi: str) -> dict[str, Any]:
        host = urlsplit(page).hostname or ""
        api = HttpClient(host, timeout_s=self._timeout_s, retry=self._retry, pool=self._pool.visit())
        url = urlunsplit(urlsplit(page)._replace(path="/api/datasets/:persistentId", fragment=""))
        answer = api.request("GET", url, expect=(200, *ABSENT), follow=3, max_bytes=MAX_BYTES)
        if answer.status in ABSENT:
            hint = "If it is the DOI of a file, use that of its dataset."
            raise RepoNotFound(doi, f"{host} has no published dataset with the DOI {doi}. {hint}")
        if json_object(answer).get("status") != "OK":
            raise UpstreamError(host, f"cannot tell about the dataset {doi}.")
        return json_object(answer, "data")


def _name(data: dict[str, Any], doi: str, *, host: str | None) -> tuple[str, str]:
    """The DOI in the spelling of the Dataverse, and the part of it that names the dataset there.

    It must be the DOI that was asked for: images are called by it, and the host is anybody's.
    """
    identifier = data.get("identifier")
    resolved = f"{data.get('authority')}/{identifier}"
    if not isinstance(identifier, str) or resolved.lower() != doi.lower():
        raise UpstreamError(host or "The Dataverse", f"answers with another dataset than {doi}.")
    return resolved, identifier


def _version(data: dict[str, Any], doi: str, *, host: str | None) -> str:
    latest = data.get("latestVersion")
    latest = latest if isinstance(latest, dict) else {}
    if latest.get("versionState") not in PUBLISHED:
        raise RepoNotFound(doi, f"{host} has no published version of the dataset {doi}.")
    numbers = (data.get("id"), latest.get("versionNumber"), latest.get("versionMinorNumber"))
    if not all(type(number) is int and 0 <= number < BIGGEST for number in numbers):
        raise UpstreamError(host or "The Dataverse", f"does not tell the version of the dataset {doi}.")
    return "{}.v{}.{}".format(*numbers)
