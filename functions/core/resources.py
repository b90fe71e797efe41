"""What the JSON API takes and shows, as typed values; the OpenAPI document is made of the same classes.

Times are ISO 8601 in UTC; a field that has no value yet is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from functions.core.build import Build
from functions.core.errors import BadRequest
from functions.core.launch import Launch, Phase
from functions.core.places import Turn
from functions.core.ports import BuildStatus
from functions.core.progress import queue_of
from functions.core.specs import MAX_SPEC

MOST_EVENTS = 1000

Prefix = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9]{0,19}$", description="The kind of repository, as in launch links: gh.", examples=["gh"]
    ),
]
Spec = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_SPEC,
        pattern="^[!-~]+$",
        description="What a launch link has after the provider, percent-encoded as there: owner/name/HEAD.",
        examples=["binder-examples/requirements/HEAD"],
    ),
]


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """Which repository, at which ref."""

    provider: Prefix
    spec: Spec


class BuildView(Struct, frozen=True, kw_only=True):
    """The image of a commit, and how its build goes. `status` is SUCCESS for an image that was there already."""

    id: str
    image: str
    status: BuildStatus
    repo_url: str
    ref: str
    log: Annotated[str, Meta(description="Path of the build's log, as text.")]
    attempt: Annotated[int, Meta(description="How often it was begun; 0 when the image was there already.")]
    digest: str | None
    created_at: datetime | None
    finished_at: datetime | None
    reason: Annotated[str | None, Meta(description="Why it failed, for a person.")]
    our_fault: Annotated[bool, Meta(description="Whether this hub failed, not the repository.")]


class Failure(Struct, frozen=True, kw_only=True):
    """Why a launch has failed: `status` is what its stream calls status_code."""

    status: int
    detail: str


class QueueView(Struct, frozen=True, kw_only=True):
    """Where a launch stands that waits for a place on the hub, or for the Hub to have time for it."""

    position: Annotated[int, Meta(description="1 is next.")]
    estimate_s: Annotated[int | None, Meta(description="About how many seconds it will take, null: nobody knows.")]


class LaunchView(Struct, frozen=True, kw_only=True):
    """A launch. Whoever knows its id may see it, its token included, and stop it."""

    id: str
    provider: str
    spec: str
    phase: Phase
    repo_url: str
    sha: str
    image: str
    build: Annotated[str | None, Meta(description="Path of the build that it waits or has waited for.")]
    events: Annotated[str, Meta(description="Path of what was told of it so far.")]
    created_at: datetime
    ready_at: datetime | None
    url: Annotated[str | None, Meta(description="Where the server is, once it is ready.")]
    token: Annotated[str | None, Meta(description="What opens the server, once it is ready.")]
    failure: Failure | None
    queue: QueueView | None


class NumberedEvent(Struct, frozen=True):
    """An event of a launch with its place; `event` is what the stream sends as data."""

    number: int
    event: dict[str, Any]


class EventPage(Struct, frozen=True):
    """Some events. `next` is the path of the page after it, null when nothing more is known now."""

    events: Sequence[NumberedEvent]
    next: str | None


class Problem(Struct, frozen=True, kw_only=True):
    """Why a request failed: https://www.rfc-editor.org/rfc/rfc9457"""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    error: Annotated[str, Meta(description="The kind of error, a name for programs.")] = ""


def read_wish(body: bytes) -> Wish:
    """The wish in a request's JSON body. Raises BadRequest with what is wrong where."""
    try:
        return msgspec.json.decode(body, type=Wish)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body must be a JSON object with provider and spec: {error}.") from error


def write(view: Struct) -> bytes:
    """*view* as JSON."""
    return msgspec.json.encode(view)


def build_view(build: Build, *, build_id: str, root: str) -> BuildView:
    """What is shown of *build*; *root* is the path of the API."""
    return BuildView(
        id=build_id,
        image=build.image,
        status=build.status,
        repo_url=build.repo_url,
        ref=build.ref,
        log=f"{root}/builds/{build_id}/log",
        attempt=build.attempt,
        digest=build.digest or None,
        created_at=_time(build.created_at),
        finished_at=_time(build.finished_at),
        reason=build.reason or None,
        our_fault=build.our_fault,
    )


def launch_view(launch: Launch, turn: Turn, *, build_id: str, root: str) -> LaunchView:
    """What is shown of *launch* to whoever knows its id; *turn* is its turn for the next step."""
    ready = launch.phase is Phase.READY
    return LaunchView(
        id=launch.id,
        provider=launch.provider,
        spec=launch.spec,
        phase=launch.phase,
        repo_url=launch.repo.repo_url,
        sha=launch.repo.sha,
        image=launch.image,
        build=f"{root}/builds/{build_id}" if launch.attempt else None,
        events=f"{root}/launches/{launch.id}/events",
        created_at=datetime.fromtimestamp(launch.created_at, UTC),
        ready_at=_time(launch.ready_at),
        url=launch.url if ready else None,
        token=launch.token if ready and not launch.build_only else None,
        failure=Failure(status=launch.status, detail=launch.reason) if launch.phase is Phase.FAILED else None,
        queue=None if turn.now else QueueView(**queue_of(turn)),
    )


def _time(at: float) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at else None
