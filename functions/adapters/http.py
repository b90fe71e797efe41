"""The project's one way to speak HTTP to a service, and its one retry policy.

    registry = HttpClient("The registry", "https://registry.example.org/v2")
    answer = registry.request("HEAD", "name/manifests/tag", expect=(200, 404))

The caller names the statuses it understands with *expect* and gets them as they are. Everything else is an error of
`functions.core.errors`: no answer is UpstreamTimeout, 429 or a 503 that says when to come back is RateLimited, the rest
is UpstreamError. What may pass (no connection, 429, 5xx) is tried again if the request may be repeated.
"""

from __future__ import annotations

import json as jsonlib
import random as randomlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError, TimeoutError
from urllib3.response import BaseHTTPResponse

from functions.adapters.lines import Lines
from functions.core.errors import RateLimited, UpstreamError, UpstreamTimeout

REPEATABLE = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT"})
PASSING = frozenset({429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 307, 308})
# Headers that another host may see when it is redirected to.
PORTABLE = frozenset({"accept", "content-type", "git-protocol", "user-agent"})
MIB = 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how patiently a request is repeated. A service that asks for more than *longest_s* is not
    waited for: its RateLimited goes to the caller, who has better things to do than to hold a connection."""

    attempts: int = 3
    first_s: float = 0.5
    longest_s: float = 8.0

    def pause_s(self, attempt: int, *, asked_s: float | None, jitter: float) -> float | None:
        """Seconds to wait after failed *attempt* (from 1), or None to give up. *jitter* is in [0, 1)."""
        if attempt >= self.attempts:
            return None
        if asked_s is None:
            return min(self.longest_s, self.first_s * 2.0 ** (attempt - 1)) * (1 + jitter) / 2
        return asked_s + self.first_s * jitter if asked_s <= self.longest_s else None


RETRY = Retry()
ONCE = Retry(attempts=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; *headers* are found in any case, *url* is where redirects have led."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str = ""
    service: str = ""

    def json(self) -> Any:
        """The body as JSON. Raises UpstreamError when it is something else."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise UpstreamError(self.service, "answered something that is not JSON.") from error


class Pool(Protocol):
    """Where connections come from: urllib3's PoolManager, or one that looks at addresses first."""

    def urlopen(self, method: str, url: str, **options: Any) -> BaseHTTPResponse: ...


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class _Setback(Exception):
    """One attempt failed in a way that may pass."""

    def __init__(self, error: UpstreamError, *, asked_s: float | None = None) -> None:
        self.error, self.asked_s = error, asked_s


class HttpClient:
    """One service. Threads may share it: connections are kept and reused.

    *service* is a name people know, for error messages. *headers* go with every request, *url* may be relative to
    *base_url*, and *timeout_s* limits the connection and each silence of the service.
    """

    def __init__(
        self,
        service: str,
        base_url: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
        pool: Pool | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = randomlib.random,
    ) -> None:
        self.service = service
        self.base_url = base_url.rstrip("/")
        self._headers = {"User-Agent": "binderless", **(headers or {})}
        self._timeout_s = timeout_s
        self._retry = retry
        # As many kept connections as an instance has threads (functions run with 250).
        self._pool: Pool = pool or urllib3.PoolManager(maxsize=250)
        self._sleep, self._random = sleep, random

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        json: Any = None,
        expect: Collection[int] = (200,),
        max_bytes: int = 8 * MIB,
        repeatable: bool | None = None,
        follow: int = 0,
    ) -> Answer:
        """Send a request and return the whole answer, whose status is one of *expect*.

        *repeatable* says that a second one does no harm (None: as HTTP says of the method). *follow* is how many
        redirects are followed, with the same method and body, never from https to http.
        """
        request = self._prepared(method, url, headers=headers, body=body, json=json)

        def attempt() -> Answer:
            response, final_url = self._open(request, expect=expect, follow=follow)
            with closing(response), self._troubles():
                content = self._content(response, max_bytes=max_bytes)
            return Answer(response.status, response.headers, content, final_url, self.service)

        return self._repeat(attempt, repeatable=_repeatable(method, repeatable))

    @contextmanager
    def stream_lines(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (200,),
        quiet_s: float = 10.0,
        repeatable: bool | None = None,
    ) -> Iterator[Lines]:
        """Open an endless answer; the Lines yield each line as it comes, and None after *quiet_s* without one.

        Opening is tried again as in `request`. A stream that breaks off raises UpstreamError from the iteration.
        """
        request = self._prepared(method, url, headers={"Accept-Encoding": "identity", **(headers or {})})

        def attempt() -> BaseHTTPResponse:
            return self._open(request, expect=expect, follow=0)[0]

        response = self._repeat(attempt, repeatable=_repeatable(method, repeatable))
        with closing(response):
            yield Lines(self.service, response, quiet_s=quiet_s, timeout_s=self._timeout_s)

    def _prepared(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        body: bytes | None = None,
        json: Any = None,
    ) -> _Request:
        if not url.startswith(("http://", "https://")):
            url = f"{self.base_url}/{url.lstrip('/')}"
        if json is None:
            return _Request(method, url, {**self._headers, **(headers or {})}, body)
        typed = {**self._headers, "Content-Type": "application/json", **(headers or {})}
        return _Request(method, url, typed, jsonlib.dumps(json).encode())

    def _repeat(self, attempt: Callable[[], T], *, repeatable: bool) -> T:
        tries = 0
        while True:
            tries += 1
            try:
                return attempt()
            except _Setback as setback:
                pause_s = self._retry.pause_s(tries, asked_s=setback.asked_s, jitter=self._random())
                if pause_s is None or not repeatable:
                    raise setback.error from setback.__cause__
            self._sleep(pause_s)

    def _open(self, request: _Request, *, expect: Collection[int], follow: int) -> tuple[BaseHTTPResponse, str]:
        response = self._send(request)
        for _ in range(follow):
            target = response.headers.get("Location")
            if response.status in expect or response.status not in REDIRECTS or not target:
                break
            response.close()
            request = self._redirected(request, target)
            response = self._send(request)
        if response.status not in expect:
            response.close()
            raise self._unexpected(request, response)
        return response, request.url

    def _send(self, request: _Request) -> BaseHTTPResponse:
        with self._troubles():
            return self._pool.urlopen(
                request.method,
                request.url,
                headers=request.headers,
                body=request.body,
                timeout=urllib3.Timeout(connect=self._timeout_s, read=self._timeout_s),
                retries=False,
                redirect=False,
                preload_content=False,
            )

    def _content(self, response: BaseHTTPResponse, *, max_bytes: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := response.read1(65536):
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise UpstreamError(self.service, f"sent more than {max_bytes} bytes.")
        return b"".join(pieces)

    def _redirected(self, request: _Request, target: str) -> _Request:
        try:
            url = urljoin(request.url, target)
            before, after = urlsplit(request.url), urlsplit(url)
        except ValueError as error:
            raise UpstreamError(self.service, "redirects to an address that is none.") from error
        if after.scheme not in ("http", "https") or (before.scheme, after.scheme) == ("https", "http"):
            raise UpstreamError(self.service, "redirects to an address that is not https.")
        headers = dict(request.headers)
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            headers = {name: value for name, value in headers.items() if name.lower() in PORTABLE}
        return _Request(request.method, url, headers, request.body)

    def _unexpected(self, request: _Request, response: BaseHTTPResponse) -> Exception:
        asked_s = retry_after_s(response.headers)
        if response.status == 429 or (response.status == 503 and asked_s is not None):
            wait_s = self._retry.longest_s if asked_s is None else asked_s
            return _Setback(RateLimited(self.service, retry_after_s=wait_s), asked_s=asked_s)
        # The query may hold a token, so only the path is told.
        detail = f"answered {response.status} to {request.method} {urlsplit(request.url).path[:200]}."
        error = UpstreamError(self.service, detail)
        return _Setback(error, asked_s=asked_s) if response.status in PASSING else error

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        """Turn urllib3's errors into ours."""
        try:
            yield
        except NameResolutionError as error:
            raise _Setback(UpstreamError(self.service, "has a host name that is not known.")) from error
        except NewConnectionError as error:
            raise _Setback(UpstreamError(self.service, "cannot be reached.")) from error
        except TimeoutError as error:
            detail = f"did not answer within {self._timeout_s:g} seconds."
            raise _Setback(UpstreamTimeout(self.service, detail)) from error
        except SSLError as error:
            raise UpstreamError(self.service, "has no certificate that we trust.") from error
        except HTTPError as error:
            raise _Setback(UpstreamError(self.service, "broke the connection off.")) from error


def _repeatable(method: str, said: bool | None) -> bool:
    return method in REPEATABLE if said is None else said


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header. A date is compared with the service's own clock, its Date header."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())
