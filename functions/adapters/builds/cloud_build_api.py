"""Requests to Cloud Build by Google's client, and ranged reads of the logs in Cloud Storage. Errors become ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from functions.core.errors import RateLimited, UpstreamError, UpstreamTimeout

SERVICE = "Cloud Build"
GOOGLES_STORAGE = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# 206 is a part, 200 all of it from a server that knows no ranges.
_PARTIAL, _WHOLE = 206, 200
# Not there yet, nothing new, and what is over when it is asked again.
_NOTHING_NEW = frozenset({404, 416, 429, 500, 502, 503, 504})
_WAIT_S = 5.0


class AnswerLost(UpstreamError):
    """Cloud Build may have done what it was asked for."""


class CloudBuildApi:
    """Builds of *project* in *region*; threads may share it. Nothing is imported or connected to before the first call.

    At Google with the credentials of the environment, or at *endpoint* and *storage_endpoint* (with scheme) with
    *token*, if that is given.
    """

    def __init__(
        self,
        *,
        project: str,
        region: str,
        endpoint: str = "",
        storage_endpoint: str = "",
        token: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        self._parent = f"projects/{project}/locations/{region}"
        self._endpoint = endpoint
        self._storage = (storage_endpoint or GOOGLES_STORAGE).rstrip("/")
        self._token = token
        self._timeout_s = timeout_s

    def create(self, document: Mapping[str, Any]) -> Any:
        """Begin the build that *document* (JSON form) describes, and return it.

        Raises AnswerLost when nobody knows whether it was begun; any other UpstreamError means that it was not.
        """
        from google.cloud.devtools.cloudbuild_v1 import Build

        # Only the parent: with a project id beside it the client would ask the global location.
        request = {"parent": self._parent, "build": Build.from_json(json.dumps(document))}
        with self._troubles():
            # Without the client's own retries, here and below: a repeated create would be a second build.
            return self._client.create_build(request, retry=None, timeout=self._timeout_s).metadata.build

    def get(self, build_id: str) -> Any:
        """The build; None when there is none of this id."""
        from google.api_core.exceptions import NotFound

        with self._troubles():
            try:
                return self._client.get_build({"name": self._name(build_id)}, retry=None, timeout=self._timeout_s)
            except NotFound:
                return None

    def cancel(self, build_id: str) -> bool:
        """Cancel the build; False when Cloud Build refuses, as it does when it has ended or is unknown."""
        from google.api_core.exceptions import BadRequest, NotFound

        with self._troubles():
            try:
                self._client.cancel_build({"name": self._name(build_id)}, retry=None, timeout=self._timeout_s)
            except (BadRequest, NotFound):
                return False
            return True

    def builds(self, condition: str, *, most: int) -> list[Any]:
        """The newest builds that fulfil *condition*, up to *most*. A new one may be missing for a moment.

        https://cloud.google.com/build/docs/view-build-results#filtering_build_results_using_queries
        """
        found: list[Any] = []
        request = {"parent": self._parent, "filter": condition, "page_size": min(most, 100)}
        with self._troubles():
            for build in self._client.list_builds(request, retry=None, timeout=self._timeout_s):
                found.append(build)
                if len(found) >= most:
                    break
        return found

    def read_log(self, bucket: str, build_id: str, *, offset: int, length: int) -> bytes:
        """Up to *length* bytes of the log from *offset* on, from the end if that is negative; none when there are none
        yet, and when Cloud Storage cannot tell just now."""
        last = offset + length - 1
        asked = f"bytes={offset}-{last}" if offset >= 0 else f"bytes={offset}"
        headers = {"Range": asked, "Accept-Encoding": "identity"}
        url = f"{self._storage}/{bucket}/log-{build_id}.txt"
        with (
            self._troubles("Cloud Storage"),
            self._session.get(
                url, headers=headers, stream=True, timeout=self._timeout_s, allow_redirects=False
            ) as answer,
        ):
            if answer.status_code in _NOTHING_NEW:
                return b""
            if answer.status_code not in (_PARTIAL, _WHOLE):
                raise UpstreamError("Cloud Storage", f"answered {answer.status_code} for the log of a build.")
            skipped = offset if answer.status_code == _WHOLE and offset > 0 else 0
            return _part(answer.iter_content(65536), skipped=skipped, length=length)

    def _name(self, build_id: str) -> str:
        return f"{self._parent}/builds/{build_id}"

    @cached_property
    def _credentials(self) -> Any:
        if self._token:
            from google.oauth2.credentials import Credentials

            return Credentials(self._token)
        import google.auth

        return google.auth.default(scopes=[_SCOPE])[0]

    @cached_property
    def _client(self) -> Any:
        from google.api_core.client_options import ClientOptions
        from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient

        options = ClientOptions(api_endpoint=self._endpoint) if self._endpoint else None
        return CloudBuildClient(transport="rest", credentials=self._credentials, client_options=options)

    @cached_property
    def _session(self) -> Any:
        from google.auth.transport.requests import AuthorizedSession

        return AuthorizedSession(self._credentials)

    @contextmanager
    def _troubles(self, service: str = SERVICE) -> Iterator[None]:
        """Turn the errors of Google's libraries into ours."""
        from google.api_core.exceptions import ClientError, GoogleAPIError, TooManyRequests
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException, Timeout

        try:
            yield
        except TooManyRequests as error:
            raise RateLimited(service, retry_after_s=_WAIT_S) from error
        except ClientError as error:
            raise UpstreamError(service, f"answered {error.code}: {str(error.message)[:500]}") from error
        except GoogleAPIError as error:
            raise AnswerLost(service, f"did not answer well: {type(error).__name__}.") from error
        except GoogleAuthError as error:
            raise UpstreamError(service, "cannot be asked: there are no credentials that it takes.") from error
        except Timeout as error:
            raise AnswerTimeout(service, f"did not answer within {self._timeout_s:g} seconds.") from error
        except RequestException as error:
            raise AnswerLost(service, "cannot be reached, or broke the connection off.") from error


class AnswerTimeout(AnswerLost, UpstreamTimeout):
    """Cloud Build may have done it, or still do it."""


def _part(pieces: Iterator[bytes], *, skipped: int, length: int) -> bytes:
    """*length* bytes after the first *skipped*, without keeping more than that."""
    found = b""
    for piece in pieces:
        found += piece[skipped:]
        skipped = max(0, skipped - len(piece))
        if len(found) >= length:
            break
    return found[:length]
