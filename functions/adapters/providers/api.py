"""The JSON APIs of git hosts, asked only for what git itself cannot tell.

An answer that has not changed since (its ETag still holds) is not sent again, and costs nothing of GitHub's quota. A
limit that the service names is kept: while it lasts, this instance asks nothing, and says at once how long it will be.
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
https://docs.gitlab.com/security/rate_limits/#response-headers
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from email.utils import parsedate_to_datetime

from functions.adapters.http import Answer, HttpClient
from functions.adapters.providers.answers import etag_of
from functions.core.errors import RateLimited, RefNotFound, UpstreamError
from functions.core.ports import ResolvedRepo
from functions.core.specs import is_sha, is_short_sha

REDIRECTS = 3
LIMITED = frozenset({403, 429})
# A limit that comes without a time: https://docs.github.com/en/rest/using-the-rest-api/best-practices
UNTOLD_LIMIT_S = 60.0
# GitHub counts by the hour. What asks for more has its clock wrong, and must not silence an instance for good.
LONGEST_LIMIT_S = 3600.0
ABSENT = frozenset({404, 409, 422})


class Api:
    """The API that *client* speaks to. `quota_remaining` is what the service said last of our quota, if it did."""

    def __init__(self, client: HttpClient, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client, self._monotonic = client, monotonic
        self._limited_until: float | None = None
        self.quota_remaining: int | None = None

    @property
    def service(self) -> str:
        return self._client.service

    def get(
        self, path: str, *, accept: str = "application/json", etag: str = "", absent: Collection[int] = ABSENT
    ) -> Answer | None:
        """The answer: 200, or 304 when *etag* still holds. None when its status is one of *absent*.

        Raises RateLimited, now and until the limit is over; UpstreamError.
        """
        self._wait_is_over()
        headers = {"Accept": accept, **({"If-None-Match": etag} if etag else {})}
        expect = {200, *absent, *LIMITED, *([304] if etag else [])}
        try:
            answer = self._client.request("GET", path, headers=headers, expect=expect, follow=REDIRECTS)
        except RateLimited as error:
            raise self._limit(error.retry_after_s) from error
        remaining = answer.headers.get("X-RateLimit-Remaining", "")
        if _is_number(remaining):
            self.quota_remaining = int(remaining)
        if answer.status in LIMITED:
            raise self._refusal(answer)
        return None if answer.status in absent else answer

    def commit(
        self, path: str, beginning: str, *, accept: str, read: Callable[[Answer], object], known: ResolvedRepo | None
    ) -> tuple[str, str] | None:
        """The commit whose id starts with *beginning*, and the ETag of the answer at *path*, whose id *read* finds.

        None when there is no such commit; what *known* says when its ETag still holds.
        """
        before = known if known and known.sha.startswith(beginning) else None
        answer = self.get(path, accept=accept, etag=before.etag if before else "")
        if answer is None:
            return None
        if before and answer.status == 304:
            return before.sha, before.etag
        sha = read(answer)
        if not isinstance(sha, str) or not is_sha(sha):
            raise UpstreamError(self.service, "answered something that is not the id of a commit.")
        # A branch made a moment ago may be called so; ids are what was asked for.
        return (sha, etag_of(answer)) if sha.startswith(beginning) else None

    def _wait_is_over(self) -> None:
        until = self._limited_until
        if until is not None and (left_s := until - self._monotonic()) > 0:
            raise RateLimited(self.service, retry_after_s=left_s)

    def _limit(self, seconds: float) -> RateLimited:
        wait_s = min(seconds, LONGEST_LIMIT_S)
        self._limited_until = self._monotonic() + wait_s
        return RateLimited(self.service, retry_after_s=wait_s)

    def _refusal(self, answer: Answer) -> UpstreamError:
        header = answer.headers.get
        if retry_after := _seconds(header("Retry-After")):
            return self._limit(retry_after)
        if header("X-RateLimit-Remaining") == "0":
            return self._limit(_until_reset_s(answer.headers))
        if answer.status == 429 or b"secondary rate limit" in answer.body.lower():
            return self._limit(UNTOLD_LIMIT_S)
        return UpstreamError(self.service, "does not let us look this up.")


def find_commit(
    ref: str, *, by_name: Callable[[], str], by_beginning: Callable[[], tuple[str, str] | None]
) -> tuple[str, str]:
    """The commit that *ref* is, names or begins, and the ETag if the API was asked. Raises RefNotFound.

    *by_name* asks git, and *by_beginning* the API when git knows no such name.
    """
    if is_sha(ref):
        return ref, ""
    try:
        return by_name(), ""
    except RefNotFound:
        found = by_beginning() if is_short_sha(ref) else None
        if found is None:
            raise
        return found


def _until_reset_s(headers: Mapping[str, str]) -> float:
    """Seconds until the quota is full again, by the service's own clock."""
    reset_s = _seconds(headers.get("X-RateLimit-Reset"))
    try:
        now_s = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (TypeError, ValueError):
        return UNTOLD_LIMIT_S
    return max(1.0, reset_s - now_s) if reset_s else UNTOLD_LIMIT_S


def _seconds(text: str | None) -> float | None:
    return float(text) if text and _is_number(text) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
