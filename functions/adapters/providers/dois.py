"""Where a DOI leads, without loading the pages on the way.

https://www.doi.org/the-identifier/resources/factsheets/doi-resolution-documentation
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urldefrag, urljoin, urlsplit

import urllib3

from functions.adapters.addresses import PublicPool
from functions.adapters.http import REDIRECTS, RETRY, HttpClient, Pool, Retry
from functions.core.data_specs import WEB_ADDRESS
from functions.core.errors import RepoNotFound, UpstreamError

# What links to DOIs begin with, wherever they are resolved.
DOI_ORG = "https://doi.org"
ABSENT = frozenset({401, 403, 404, 410, 451})
MOVED = REDIRECTS | {303}
MOST_MOVES = 6


class Dois:
    """DOIs as *url* resolves them, which the operator chose. Whoever registered a DOI chose where it leads, so all
    that comes after is reached through *pool*."""

    def __init__(
        self,
        url: str = DOI_ORG,
        *,
        pool: PublicPool,
        allow_http: bool = False,
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
    ) -> None:
        self._url, self._own, self._pool = url.rstrip("/"), urllib3.PoolManager(maxsize=250), pool
        self._allow_http, self._timeout_s, self._retry = allow_http, timeout_s, retry

    def addresses(self, doi: str) -> Iterator[str]:
        """The address that *doi* is registered with, and each that follows by redirects; the last one shows a page.

        An address is only asked for the next one when that is wanted. Raises RepoNotFound when there is nothing at one
        of them, NotAllowed, UpstreamError and its kinds.
        """
        url = self._next(f"{self._url}/{doi}", self._own, RepoNotFound(doi, f"There is no DOI {doi}. Is it complete?"))
        if not url:
            raise UpstreamError(_host(self._url), f"does not tell where DOI {doi} leads.")
        visit = self._pool.visit()
        for _ in range(MOST_MOVES):
            yield url
            hidden = f"DOI {doi} leads to {_host(url)}, which does not show it, or not to everybody."
            target = self._next(url, visit, RepoNotFound(doi, hidden))
            if not target:
                return
            url = target
        raise UpstreamError(_host(url), "redirects more often than we follow.")

    def _next(self, url: str, pool: Pool, absence: RepoNotFound) -> str:
        """What *url* redirects to, empty for a page. Raises *absence* when there is neither."""
        client = HttpClient(_host(url), timeout_s=self._timeout_s, retry=self._retry, pool=pool)
        answer = client.request("HEAD", url, expect=(200, *ABSENT, *MOVED))
        if answer.status in ABSENT:
            raise absence
        target = answer.headers.get("Location", "")
        return self._joined(url, target) if answer.status in MOVED and target else ""

    def _joined(self, url: str, target: str) -> str:
        try:
            address = urldefrag(urljoin(url, target)).url
            plain = urlsplit(address).scheme == "http" and urlsplit(address).port is None
        except ValueError as error:
            raise UpstreamError(_host(url), "redirects to an address that is none.") from error
        if not WEB_ADDRESS.fullmatch(address):
            raise UpstreamError(_host(url), "redirects to an address that we do not follow.")
        # Many DOIs are older than their sites' certificates, and were registered without the s.
        return address.replace("http:", "https:", 1) if plain and not self._allow_http else address


def _host(url: str) -> str:
    return urlsplit(url).hostname or "The host"
