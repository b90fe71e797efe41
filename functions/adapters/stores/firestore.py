"""The store of a deployment on Google Cloud: Firestore in native mode.

Every write is one commit of one document under a precondition: there are no transactions, so nobody waits for a lock,
and an instance that is frozen or killed leaves none behind.

https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1
"""

from __future__ import annotations

import json
import random as randomlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

from functions.adapters.http import RETRY, Retry
from functions.adapters.stores import firestore_documents as documents
from functions.adapters.stores.firestore_documents import KNOWN_WRITES, Version
from functions.adapters.stores.text import dump
from functions.core.errors import RateLimited, UpstreamError, UpstreamTimeout
from functions.core.ports import INDEXED_FIELDS, Document

SERVICE = "The store"

T = TypeVar("T")


class FirestoreStore:
    """A Store in a database of *project*, one collection a kind; threads may share it.

    At Google, with the credentials of the environment, or at *endpoint* (`host:port`, without TLS), which is an
    emulator. *timeout_s* limits each attempt of a call. *client* makes the SDK's client, at the first call.
    """

    def __init__(
        self,
        *,
        project: str,
        database: str = "(default)",
        endpoint: str = "",
        timeout_s: float = 10.0,
        retry: Retry = RETRY,
        client: Callable[[str], Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = randomlib.random,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._database = f"projects/{project}/databases/{database}"
        self._endpoint, self._timeout_s, self._retry = endpoint, timeout_s, retry
        self._make_client = client or _client
        self._sleep, self._random, self._new_id = sleep, random, new_id
        self._lock = Lock()
        self._made: Any = None

    def create_if_absent(self, kind: str, key: str, data: Mapping[str, Any]) -> Document | None:
        return self._write(kind, key, data, before=None)

    def get(self, kind: str, key: str) -> Document | None:
        found = self._repeat(lambda _: self._read(self._name(kind, key)))
        return None if found is None else documents.record(found)

    def compare_and_set(self, kind: str, key: str, version: str, data: Mapping[str, Any]) -> Document | None:
        return self._write(kind, key, data, before=Version.parse(version))

    def query(self, kind: str, field: str, value: str, *, limit: int = 1000, after: str = "") -> Sequence[Document]:
        if field not in INDEXED_FIELDS.get(kind, ()):
            raise ValueError(f"{kind}.{field} is not one of INDEXED_FIELDS")
        # The index of a single field is in the order of its documents' names, so none of several fields is needed.
        asked = {
            "from_": [{"collection_id": kind}],
            "where": _equal(field, documents.indexed(value)),
            "order_by": [{"field": {"field_path": "__name__"}, "direction": "ASCENDING"}],
            "start_at": {"values": [{"reference_value": self._name(kind, after)}], "before": False},
            "limit": limit,
        }
        request = {"parent": f"{self._database}/documents", "structured_query": asked}
        return self._repeat(lambda _: self._found(request))

    def delete(self, kind: str, key: str) -> None:
        request = {"database": self._database, "writes": [{"delete": self._name(kind, key)}]}
        self._repeat(lambda _: self._call("commit", request))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._made is not None:
            self._made.transport.close()

    def _write(self, kind: str, key: str, data: Mapping[str, Any], *, before: Version | None) -> Document | None:
        text, mine, name = dump(data), self._new_id(), self._name(kind, key)
        writes = (mine, *(before.writes if before else ()))[:KNOWN_WRITES]
        write = {
            "update": {"name": name, "fields": documents.fields(kind, key, text, data, writes)},
            "current_document": before.precondition if before else {"exists": False},
        }
        request = {"database": self._database, "writes": [write]}

        def attempt(tries: int) -> Document | None:
            answer = self._unless_refused(request)
            if answer is not None:
                written = type(answer).pb(answer).write_results[0].update_time
                return Document(key, json.loads(text), str(Version(written.seconds, written.nanos, writes)))
            # The answer to an earlier attempt may have been lost: then it is our own write that is in the way.
            return self._written(name, key, mine, text) if tries > 1 else None

        return self._repeat(attempt)

    def _unless_refused(self, request: Mapping[str, Any]) -> Any:
        """The answer to a commit, None when its precondition did not hold."""
        from google.api_core import exceptions

        try:
            return self._call("commit", request)
        except (exceptions.AlreadyExists, exceptions.FailedPrecondition):
            return None
        except exceptions.NotFound as error:
            # What is not found may as well be the database, which is no lost race.
            if "no document" in error.message.lower():
                return None
            raise

    def _written(self, name: str, key: str, mine: str, text: str) -> Document | None:
        """The record as we have written it, should the write *mine* have been done; others may have come after it."""
        found = self._read(name)
        if found is None or mine not in documents.version(found).writes:
            return None
        known = documents.version(found)
        if known.writes[0] != mine:
            # Whoever names this version is told that it is outdated: the document has been written since it was made.
            known = Version(found.create_time.seconds, found.create_time.nanos, known.writes)
        return Document(key, json.loads(text), str(known))

    def _read(self, name: str) -> Any:
        # Unlike get_document, this tells a document that is not there from a database that is not there.
        answers = self._call("batch_get_documents", {"database": self._database, "documents": [name]})
        [answer] = [type(answer).pb(answer) for answer in answers]
        return answer.found if answer.HasField("found") else None

    def _found(self, request: Mapping[str, Any]) -> list[Document]:
        answers = (type(answer).pb(answer) for answer in self._call("run_query", request))
        return [documents.record(answer.document) for answer in answers if answer.HasField("document")]

    def _name(self, kind: str, key: str) -> str:
        return f"{self._database}/documents/{kind}/{documents.document_id(key)}"

    def _call(self, verb: str, request: Mapping[str, Any]) -> Any:
        # The SDK's own retries would hide from us that an answer was lost. "owner" is what an emulator asks for.
        metadata = [("authorization", "Bearer owner")] if self._endpoint else []
        call = getattr(self._client(), verb)
        return call(request=request, retry=None, timeout=self._timeout_s, metadata=metadata)

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make_client(self._endpoint)
            return self._made

    def _repeat(self, attempt: Callable[[int], T]) -> T:
        """The result of *attempt*, which is told which try it is, from 1. Raises UpstreamError and its kinds."""
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        tries = 0
        while True:
            tries += 1
            try:
                return attempt(tries)
            except (GoogleAPIError, GoogleAuthError) as error:
                pause_s = self._retry.pause_s(tries, asked_s=None, jitter=self._random())
                if pause_s is None or not _passes(error):
                    raise self._ours(error) from error
            self._sleep(pause_s)

    def _ours(self, error: Exception) -> UpstreamError:
        from google.api_core import exceptions

        if isinstance(error, exceptions.ResourceExhausted):
            return RateLimited(SERVICE, retry_after_s=self._retry.longest_s)
        if isinstance(error, exceptions.DeadlineExceeded):
            return UpstreamTimeout(SERVICE, f"did not answer within {self._timeout_s:g} seconds.")
        if isinstance(error, exceptions.Aborted):
            return UpstreamTimeout(SERVICE, "is busy.")
        return UpstreamError(SERVICE, f"does not work: {type(error).__name__}.")


def _client(endpoint: str) -> Any:
    # The client under google.cloud.firestore: that one has no replacing of a whole document by its update time.
    from google.cloud.firestore_v1.services.firestore import FirestoreClient

    if not endpoint:
        return FirestoreClient()
    import grpc
    from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

    return FirestoreClient(transport=FirestoreGrpcTransport(channel=grpc.insecure_channel(endpoint)))


def _passes(error: Exception) -> bool:
    """Whether trying again may help; https://cloud.google.com/firestore/docs/understand-error-codes says when."""
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    passing = (
        exceptions.Aborted,
        exceptions.Cancelled,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.ResourceExhausted,
        exceptions.ServiceUnavailable,
        exceptions.Unknown,
        TransportError,
    )
    return isinstance(error, passing)


def _equal(field: str, value: str) -> Mapping[str, Any]:
    return {"field_filter": {"field": {"field_path": field}, "op": "EQUAL", "value": {"string_value": value}}}
