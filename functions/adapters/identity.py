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
_DEFAULT_AGE_S = 300
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
        self._fetched_at = self._fresh_until = float("-inf")

    def with_key(self, key_id: str) -> Mapping[str, str]:
        """The certificates, among which is *key_id*'s. Raises BadSignature when there is none."""
        with self._lock:
            now = self._clock()
            wanted = key_id not in self._certs and now - self._fetched_at >= _REFETCH_S
            if wanted or now >= self._fresh_until:
                self._fetch(now)
            if key_id not in self._certs:
                raise BadSignature("The identity token is signed with a key that nobody knows.")
            return self._certs

    def _fetch(self, now: float) -> None:
        answer = self._client.request("GET", self._url)
        age = _MAX_AGE.search(answer.headers.get("Cache-Control", ""))
        certs = answer.json()
        if not isinstance(certs, dict):
            raise UpstreamError(self._client.service, "sent certificates that nobody can read.")
        self._certs = certs
        self._fetched_at = now
        self._fresh_until = now + max(_REFETCH_S, int(age[1]) if age else _DEFAULT_AGE_S)
