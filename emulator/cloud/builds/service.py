"""Builds as the API knows them: created, found, listed, and moved from state to state with a notification."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from emulator.cloud.builds import filters
from emulator.cloud.builds.errors import ApiError, invalid
from emulator.cloud.builds.execution import Ended
from emulator.cloud.builds.logs import Buckets
from emulator.cloud.builds.messages import TERMINAL, Build, timestamp
from emulator.cloud.builds.settings import BuildSettings
from emulator.cloud.builds.store import Store, Stored
from emulator.cloud.builds.substitutions import built_in, substituted
from emulator.cloud.builds.validation import check_build, check_request

log = logging.getLogger(__name__)

GLOBAL = "global"
PAGE_SIZE, MAX_PAGE_SIZE = 100, 1000
DEFAULT_TIMEOUT = DEFAULT_QUEUE_TTL = "3600s"
# What only the service writes: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#Build
_OUTPUT_ONLY = (
    *("name", "id", "projectId", "status", "statusDetail", "results", "createTime", "startTime", "finishTime"),
    *("logUrl", "sourceProvenance", "buildTriggerId", "timing", "approval", "failureInfo", "warnings"),
)

Notify = Callable[[Build], None]


class Builds:
    """All builds of one project; *notify* is told of every change of a state."""

    def __init__(self, store: Store, buckets: Buckets, settings: BuildSettings, notify: Notify) -> None:
        self._store = store
        self._buckets = buckets
        self._settings = settings
        self._notify = notify

    def create(self, location: str, request: Build, *, waits: bool) -> Build:
        """Make a build of *request*; *waits* says that none can start now. Raises ApiError."""
        if self._store.count_open() >= self._settings.most_open:
            raise ApiError("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Queued builds'.")
        asked = {name: value for name, value in request.items() if name not in _OUTPUT_ONLY}
        build = self._made(location, asked, str(uuid.uuid4()), waits=waits)
        self._store.add(location, build, asked)
        self._notify(build)
        return build

    def _made(self, location: str, asked: Build, build_id: str, *, waits: bool) -> Build:
        project, number = self._settings.project, self._settings.project_number
        check_request(asked)
        known = built_in(project=project, project_number=number, location=location, build_id=build_id)
        build = substituted(asked, known)
        check_build(build, location=location, buckets=self._settings.buckets)
        where = f"projects/{number}/locations/{location}/builds/{build_id}"
        return build | {
            "name": where,
            "id": build_id,
            "projectId": project,
            "status": "PENDING" if waits else "QUEUED",
            "createTime": timestamp(time.time()),
            "timeout": build.get("timeout", DEFAULT_TIMEOUT),
            "queueTtl": build.get("queueTtl", DEFAULT_QUEUE_TTL),
            "logUrl": f"https://console.cloud.google.com/cloud-build/builds;region={location}/{build_id}?project={number}",
            "logsBucket": build.get("logsBucket", f"gs://{default_bucket(number)}"),
            "options": {"logging": "LEGACY", **build.get("options", {})},
            "substitutions": build.get("substitutions", {}),
        }

    def get(self, location: str, build_id: str) -> Build:
        """The build as it stands; raises ApiError for one that is not in this location."""
        return self._stored(location, build_id).build

    def again(self, location: str, build_id: str, *, waits: bool) -> Build:
        """A new build of the same request."""
        return self.create(location, self._stored(location, build_id).asked, waits=waits)

    def page(self, location: str, *, text: str, page_size: int, page_token: str) -> tuple[list[Build], str]:
        """The newest builds that match the filter *text*, and the token of the next page. Raises ApiError."""
        if page_size < 0:
            raise invalid("page_size must not be negative")
        size = min(page_size or PAGE_SIZE, MAX_PAGE_SIZE)
        wanted = filters.parse(text)
        before = _read_token(page_token) if page_token else 2**62
        found: list[Stored] = []
        for stored in self._store.newest(location, before=before):
            if wanted(stored.build):
                if len(found) == size:
                    return [each.build for each in found], _token(found[-1].number)
                found.append(stored)
        return [each.build for each in found], ""

    def current(self, build_id: str) -> Stored:
        """The build wherever it is."""
        stored = self._store.get(build_id)
        if stored is None:
            raise KeyError(build_id)
        return stored

    def unfinished(self) -> list[Stored]:
        """The builds that have not ended, the oldest first."""
        return self._store.unfinished()

    def move(self, build: Build, status: str, **fields: Any) -> Build:
        """Write down and announce that *build* is in another state."""
        moved = {**build, "status": status, **fields}
        self._store.change(moved)
        self._notify(moved)
        log.info("build %s: %s", build["id"], status)
        return moved

    def end(self, build: Build, ended: Ended) -> Build:
        """Write down and announce how *build* ended, and forget the oldest ones."""
        fields: dict[str, Any] = {"finishTime": timestamp(time.time()), **ended.fields}
        if ended.detail:
            fields["statusDetail"] = ended.detail
        if ended.failure:
            fields["failureInfo"] = {"type": ended.failure, "detail": ended.detail}
        done = self.move(build, ended.status, **fields)
        for gone in self._store.forget(keep=self._settings.keep):
            self._buckets.forget(gone)
        return done

    def remember(self, build_id: str, progress: Mapping[str, Any]) -> None:
        """Keep how far an execution came."""
        self._store.remember(build_id, progress)

    def _stored(self, location: str, build_id: str) -> Stored:
        stored = self._store.get(build_id)
        if stored is None or stored.location != location:
            raise ApiError("NOT_FOUND", f"Requested entity was not found: build {build_id[:100]}.")
        return stored


def default_bucket(project_number: str) -> str:
    """Where logs go that nobody has chosen a bucket for."""
    return f"{project_number}.cloudbuild-logs.googleusercontent.com"


def check_open(build: Build) -> None:
    """Raise ApiError unless *build* can still be cancelled."""
    if build["status"] in TERMINAL:
        raise ApiError("FAILED_PRECONDITION", f"Build {build['id']} has ended ({build['status']}): cannot cancel it.")


def _token(number: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"before": number}).encode()).decode()


def _read_token(text: str) -> int:
    try:
        return int(json.loads(base64.urlsafe_b64decode(text))["before"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise invalid("invalid page token") from error
