"""What the core asks of the world, as protocols; `functions/adapters/` holds the answers.

Every port has one contract suite in `tests/contract/`, run against the fake of the unit tests and against the adapter.
Failures are `functions.core.errors`; the expected absence of something is a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRepo:
    """A repository at a commit: what is built. The words are BinderHub's.

    `sha` never moves; `slug` names the image; `resolved_spec` is the spec with `sha` in the place of the ref;
    `ref_url` is a page for people, `repo_url` what repo2docker gets. `etag` is what the service calls its answer, if it
    does: asking again with it may cost less.
    """

    provider: str
    spec: str
    repo_url: str
    sha: str
    slug: str
    resolved_spec: str
    ref_url: str
    etag: str = ""


class RepoProvider(Protocol):
    """One kind of place where repositories are, known by its prefix in launch links (`gh`, `git`)."""

    prefix: str

    def display_config(self) -> dict[str, Any]:
        """What `/api/repoproviders` says of this provider (BinderHub's format)."""
        ...

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        """Resolve the raw, still percent-encoded *spec*, e.g. `owner/name/HEAD`.

        *known* is what the same spec was resolved to before; it is returned again when its `etag` still holds.
        Raises InvalidSpec, NotAllowed, RepoNotFound, RefNotFound, UpstreamError and its kinds.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImageFound:
    digest: str


@dataclass(frozen=True, slots=True)
class ImageMissing:
    pass


class Registry(Protocol):
    def find(self, image: str, *, fresh: bool = False) -> ImageFound | ImageMissing:
        """Look *image* (`host/path/name:tag`) up. Raises UpstreamError when the registry cannot tell.

        What was found may be some minutes old, so an image that has been deleted meanwhile may still be found. Whoever
        records or rebuilds by the answer asks for a *fresh* one.
        """
        ...

    def delete(self, image: str, digest: str) -> bool:
        """Delete the *image* with *digest*; one that is gone is fine. False when the registry does not permit it.

        Raises UpstreamError when the registry does not answer. The space is the registry's to give back.
        """
        ...


# Cloud Build's words: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#Status
class BuildStatus(StrEnum):
    PENDING = "PENDING"
    QUEUED = "QUEUED"
    WORKING = "WORKING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def terminal(self) -> bool:
        return self not in (BuildStatus.PENDING, BuildStatus.QUEUED, BuildStatus.WORKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """`name` is a DNS label that is the same for every attempt to submit the same build. `appendix` is the operator's:
    Dockerfile lines for the end of the image."""

    name: str
    image: str
    repo_url: str
    ref: str
    appendix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a backend says of a build. `reason` is a sentence when it failed, `our_fault` when the repository did not
    (evicted, backend error): it may be tried again. `digest` is of the pushed image, where the backend tells."""

    backend_id: str
    status: BuildStatus
    reason: str = ""
    our_fault: bool = False
    finished_at: datetime | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Complete lines of a build's log after a cursor; `cursor` reads on from there."""

    lines: tuple[str, ...]
    cursor: str


class BuildBackend(Protocol):
    def submit(self, request: BuildRequest) -> str:
        """Start the build and return its backend id. Submitting the same name again returns the same build's id."""
        ...

    def status(self, backend_id: str) -> BuildReport | None:
        """Where the build stands; None when the backend does not know it (any more)."""
        ...

    def log(self, backend_id: str, cursor: str = "") -> LogChunk:
        """Lines written since *cursor* (empty: from the beginning); no lines when there are none yet."""
        ...

    def cancel(self, backend_id: str) -> None:
        """Stop the build and remove what it left; cancelling an unknown or finished build does nothing."""
        ...

    def list(self) -> Sequence[BuildReport]:
        """Every build the backend remembers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HubServer:
    """A user's default server. `pending` is JupyterHub's word: "spawn", "stop" or None. `repo` is what it was launched
    from, `<provider>/<spec>`; empty when the Hub does not tell."""

    ready: bool
    pending: str | None
    url: str
    last_activity: datetime | None = None
    started_at: datetime | None = None
    repo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubUser:
    name: str
    admin: bool = False
    created_at: datetime | None = None
    last_activity: datetime | None = None
    server: HubServer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """Some of the Hub's users. `next_offset` is None on the last page; `unreadable` says how many are left out because
    nobody could read them."""

    users: Sequence[HubUser]
    next_offset: int | None
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HubProgress:
    """One event of the Hub's progress stream; `ready` or `failed` is the last."""

    message: str
    ready: bool = False
    failed: bool = False


class Hub(Protocol):
    def create_user(self, name: str) -> None:
        """Create the user; one that exists is left as it is."""
        ...

    def start_server(self, user: str, options: Mapping[str, str]) -> None:
        """Ask for the user's server; one that is starting or running already is left as it is.

        *options* become the spawner's user_options. Raises RateLimited on 429 (too many pending spawns),
        LaunchFailed when the Hub refuses for good, UpstreamError otherwise. Does not wait for the server.
        """
        ...

    def user(self, name: str) -> HubUser | None:
        """The user with its server, or None."""
        ...

    def progress(self, user: str) -> Iterator[HubProgress | None]:
        """Follow the start of the user's server. None stands for a keepalive. A server that is not starting
        yields nothing, or its last failure."""
        ...

    def stop_server(self, user: str) -> None:
        """Stop the server; none is fine. Returns when the Hub has accepted, which may be before it is gone."""
        ...

    def delete_user(self, user: str) -> None:
        """Stop the user's server if any, and delete the user; unknown is fine. Raises UpstreamError while a
        server is still stopping: try again later."""
        ...

    def users(self, offset: int = 0) -> UserPage:
        """A page of all users, oldest first, from the one at *offset* on; an empty one beyond the last.

        Deleting a user moves all that come after it one place forward.
        """
        ...

    def server_url(self, user: str) -> str:
        """The public address of the user's server, with a trailing slash."""
        ...

    def healthy(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Document:
    """One record of the store: JSON-like data, and the version that a later compare-and-set must name."""

    key: str
    data: Mapping[str, Any] = field(repr=False)
    version: str


class Store(Protocol):
    """Records by kind and key, without transactions. Keys are any text up to 1,024 characters.

    *data* is a JSON object. Fields named in INDEXED_FIELDS hold text without NUL and may be queried by equality; a
    query sees every write that was answered before it began. Querying any other field raises ValueError, and so does
    writing more than MOST_RECORD_BYTES. A store may delete a record once the day in its indexed field EXPIRES_ON
    (ISO, UTC) is over.

    Verbs raise UpstreamError and its kinds. A write that raised may have been done all the same; one that answered None
    has not been done.
    """

    def create_if_absent(self, kind: str, key: str, data: Mapping[str, Any]) -> Document | None:
        """Create the record; None when there is one already."""
        ...

    def get(self, kind: str, key: str) -> Document | None: ...

    def compare_and_set(self, kind: str, key: str, version: str, data: Mapping[str, Any]) -> Document | None:
        """Replace the record if it still has *version*; None when it has not, or is gone."""
        ...

    def query(self, kind: str, field: str, value: str, *, limit: int = 1000, after: str = "") -> Sequence[Document]:
        """Records whose *field* is *value*, in the order of their keys, from the first whose key follows *after*."""
        ...

    def delete(self, kind: str, key: str) -> None:
        """Delete the record; an absent one is fine."""
        ...


# Of a record's data, as JSON. Firestore takes 1 MiB for a document with its name, indexed fields and overhead.
MOST_RECORD_BYTES = 1_000_000
EXPIRES_ON = "expires_on"

# Kind of record -> fields that can be queried. An adapter prepares its indexes from this.
INDEXED_FIELDS: Mapping[str, tuple[str, ...]] = {
    "build": ("backend_id", "open", "image_until"),
    "launch": ("waiting_for", "open", "running", "uncollected", "user"),
    "ref": (EXPIRES_ON,),
    "prebuild": ("due", "image", EXPIRES_ON),
    "prebuild_day": (EXPIRES_ON,),
    "delivery": (EXPIRES_ON,),
    "rate": (EXPIRES_ON,),
    "outcome": ("what",),
    **dict.fromkeys(("resume", "totals", "cull", "limits"), ()),
}


class Publisher(Protocol):
    def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish one message; returns when the service has it. Raises UpstreamError."""
        ...
