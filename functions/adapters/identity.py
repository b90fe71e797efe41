"""Who calls: the OIDC tokens of Pub/Sub's pushes and of Cloud Scheduler.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from functions.adapters.http import HttpClient
from functions.core.errors import BadSignature, UpstreamError

_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
_MAX_AGE = re.compile(r"max-age=(\d{1,9})")
# For a new signing key, at most this often: anyone can send tokens with keys that nobody knows.
_REFETCH_S = 60
# After a fetch that failed, everybody is told so for this long.
_TROUBLE_S = 10
_DEFAULT_AGE_S = 300
# A key that is withdrawn has to be forgotten some day, whatever an answer says.
_LONGEST_AGE_S = 86_400
_MAX_TOKEN = 8192
_CLOCK_SKEW_S = 10


class TokenVerifier:
    """Verifies tokens of *service_account* for *audience*, signed with a key of *certs_url*.

    *certs_url* answers with a JSON object of X.509 certificates by key id, as Google's does.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        certs_url: str,
        audience: str,
        service_account: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._certs = _Certificates(client, certs_url, clock)
        self._audience = audience
        self._service_account = service_account

    def verify(self, authorization: str) -> None:
        """Check the `Authorization` header of a call. Raises BadSignature, or UpstreamError without keys."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
            raise BadSignature("The call carries no identity token.")
        if not (self._audience and self._service_account):
            raise BadSignature("No service account may call.")
        claims = self._claims(token)
        email_is_good = claims.get("email") == self._service_account and claims.get("email_verified") is True
        if claims.get("iss") not in _ISSUERS or not email_is_good:
            raise BadSignature("The identity token is not of the service account that may call.")

    def _claims(self, token: str) -> Mapping[str, Any]:
        from google.auth import jwt
        from google.auth.exceptions import GoogleAuthError

        try:
            certs = self._certs.with_key(str(jwt.decode_header(token).get("kid")))
            claims: Mapping[str, Any] = jwt.decode(
                token, certs=certs, audience=self._audience, clock_skew_in_seconds=_CLOCK_SKEW_S
            )
        except (GoogleAuthError, TypeError, ValueError, RecursionError) as error:
            raise BadSignature("The identity token is not valid.") from error
        return claims


class _Certificates:
    """What is at *url*, a JSON object of certificates by key id, kept as long as its answer allows."""

    def __init__(self, client: HttpClient, url: str, clock: Callable[[], float]) -> None:
        self._client = client
        self._url = url
        self._clock = clock
        self._lock = Lock()
        self._certs: Mapping[str, str] = {}
        self._fetched_at = self._fresh_until = self._trouble_until = float("-inf")
        self._trouble: UpstreamError | None = None

    def with_key(self, key_id: str) -> Mapping[str, str]:
        """The certificates, among which is *key_id*'s.

        Raises BadSignature when there is none, and UpstreamError while nobody can tell.
        """
        # Known callers do not wait for a fetch that a stranger's token has made necessary.
        certs = self._certs
        if key_id in certs and self._clock() < self._fresh_until:
            return certs
        with self._lock:
            now = self._clock()
            wanted = key_id not in self._certs and now - self._fetched_at >= _REFETCH_S
            if wanted or now >= self._fresh_until:
                self._fetch(now)
            if key_id not in self._certs:
                raise BadSignature("The identity token is signed with a key that nobody knows.")
            return self._certs

    def _fetch(self, now: float) -> None:
        if self._trouble and now < self._trouble_until:
            raise self._trouble.again()
        try:
            answer = self._client.request("GET", self._url)
            certs = answer.json()
            if not isinstance(certs, dict):
                raise UpstreamError(self._client.service, "sent certificates that nobody can read.")
        except UpstreamError as error:
            self._trouble, self._trouble_until = error.again(), self._clock() + _TROUBLE_S
            raise
        self._certs = certs
        self._fetched_at = now
        self._fresh_until = now + _life_s(answer.headers)


def _life_s(headers: Mapping[str, str]) -> float:
    """For how long an answer may be kept, which has been on its way for its Age already."""
    most = _MAX_AGE.search(headers.get("Cache-Control", ""))
    age = headers.get("Age", "")
    life_s = int(most[1]) if most else _DEFAULT_AGE_S
    gone_s = int(age[:9]) if age.isascii() and age.isdigit() else 0
    return min(_LONGEST_AGE_S, max(_REFETCH_S, life_s - gone_s))
