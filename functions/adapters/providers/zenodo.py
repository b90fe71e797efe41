"""Zenodo: `zenodo/<DOI>`. The DOI of all versions is the newest record."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from functions.adapters.providers.dois import DOI_ORG, Dois
from functions.core.data_specs import ZENODO_DOI, parse_doi
from functions.core.errors import InvalidSpec, RepoNotFound
from functions.core.ports import ResolvedRepo

RECORD = re.compile(r"/records?/([1-9][0-9]{0,18})(?:/latest)?/?")


class Zenodo:
    """Records that *dois* finds at *url*."""

    prefix = "zenodo"

    def __init__(self, dois: Dois, *, url: str = "https://zenodo.org") -> None:
        self._dois, self._url = dois, url.rstrip("/")
        self._host = urlsplit(self._url).hostname

    def display_config(self) -> dict[str, Any]:
        return {
            "displayName": "Zenodo DOI",
            "id": self.prefix,
            "spec": {"validateRegex": r"10\.\d+\/(.)+"},
            "repo": {
                "label": "Zenodo DOI",
                "placeholder": "example: 10.5281/zenodo.3242074",
                "urlEncode": False,
            },
            "ref": {"enabled": False},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        doi = parse_doi(spec)
        record = self._record(doi)
        if ZENODO_DOI.fullmatch(doi):
            repo_url, resolved = doi, f"10.5281/zenodo.{record}"
        else:
            # Somebody else can let this DOI lead to another record before the build asks where it does.
            repo_url, resolved = f"{self._url}/records/{record}", doi
        return ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=repo_url,
            sha=record,
            slug=f"zenodo-{record}",
            resolved_spec=resolved,
            ref_url=f"{DOI_ORG}/{resolved}",
        )

    def _record(self, doi: str) -> str:
        path = ""
        for address in self._dois.addresses(doi):
            parts = urlsplit(address)
            if (parts.hostname or "").removeprefix("www.") != self._host:
                raise InvalidSpec(f"DOI {doi} leads to {parts.hostname}, which is not Zenodo.")
            path = parts.path
        found = RECORD.fullmatch(path)
        if not found:
            raise RepoNotFound(doi, f"DOI {doi} leads to {self._host}{path[:100]}, which is no record.")
        return found[1]
