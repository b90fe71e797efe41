"""Builds on Google Cloud Build. The backend id of a build is Cloud Build's own.

Cloud Build gives every create another build and knows no request id. So a build carries a tag made of its request's
name: it is looked for before one is created, and after a create whose answer was lost. Listing is not promised to be
up to date; whatever is found twice, the older one is the build, and the other is cancelled.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from functions.adapters.builds.cloud_build_api import AnswerLost, CloudBuildApi
from functions.adapters.builds.cloud_build_log import parse_cursor, read_on, unprefixed
from functions.adapters.builds.cloud_build_report import failed_in_repo2docker, report, status_of
from functions.adapters.builds.cloud_build_request import (
    OURS,
    BuildOrder,
    build_document,
    build_tag,
    repository_tag,
)
from functions.adapters.builds.job_status import last_failure
from functions.core.errors import UpstreamError
from functions.core.ports import BuildReport, BuildRequest, LogChunk

# Within the lease of who submits (60 s), requests included. After it the next one looks again before it creates.
GRACE_S = (1.0, 2.0, 4.0, 6.0)
# How patiently another build of the same request is looked for, so that it does not run beside the first.
TWIN_S = (0.0, 1.0, 2.0)
_MOST_LISTED = 1000
_MOST_TWINS = 20
_READ_BYTES = 512 * 1024
_TAIL_BYTES = 16 * 1024
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class CloudBuilds:
    """Builds of *api*, run as *order* says; several instances may share them."""

    def __init__(self, api: CloudBuildApi, order: BuildOrder, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._order = order
        self._sleep = sleep

    def submit(self, request: BuildRequest) -> str:
        known = self._one_of(self._twins(request))
        if known is not None:
            return known
        document = build_document(request, self._order, last_image=self._last_image(request))
        try:
            created = self._api.create(document)
        except AnswerLost:
            found = self._after_all(request)
            if found is None:
                raise
            return found
        return self._only_one(created, request)

    def status(self, backend_id: str) -> BuildReport | None:
        build = self._build(backend_id)
        if build is None:
            return None
        found = report(build)
        if not failed_in_repo2docker(build):
            return found
        return replace(found, reason=self._last_failure(backend_id) or found.reason)

    def log(self, backend_id: str, cursor: str = "") -> LogChunk:
        here = parse_cursor(cursor)
        if not _ID.fullmatch(backend_id):
            return LogChunk(lines=(), cursor=cursor)
        content = self._api.read_log(self._order.log_bucket, backend_id, offset=here.offset, length=_READ_BYTES)
        lines, after = read_on(content, here, full=_READ_BYTES)
        return LogChunk(lines=tuple(lines), cursor=str(after))

    def cancel(self, backend_id: str) -> None:
        build = self._build(backend_id)
        if build is None or status_of(build).terminal or self._api.cancel(backend_id):
            return
        build = self._build(backend_id)
        if build is not None and not status_of(build).terminal:
            raise UpstreamError("Cloud Build", "does not cancel a build that goes on.")

    def list(self) -> Sequence[BuildReport]:
        """The newest builds, of which Cloud Build remembers all there ever were."""
        return [report(build) for build in self._api.builds(_tagged(OURS), most=_MOST_LISTED)]

    def _build(self, backend_id: str) -> Any:
        # Ids come from messages; only what can be one goes into an address.
        return self._api.get(backend_id) if _ID.fullmatch(backend_id) else None

    def _twins(self, request: BuildRequest) -> Sequence[Any]:
        return self._api.builds(_tagged(build_tag(request.name)), most=_MOST_TWINS)

    def _after_all(self, request: BuildRequest) -> str | None:
        """The build that was created although the answer was lost."""
        for pause_s in GRACE_S:
            self._sleep(pause_s)
            with suppress(UpstreamError):
                found = self._one_of(self._twins(request))
                if found is not None:
                    return found
        return None

    def _only_one(self, created: Any, request: BuildRequest) -> str:
        """The build there is after a create, which may have been delivered twice, or have come after another."""
        for pause_s in TWIN_S:
            self._sleep(pause_s)
            with suppress(UpstreamError):
                twins = {build.id: build for build in [created, *self._twins(request)]}
                return self._one_of(list(twins.values())) or str(created.id)
        # It was created: that is what whoever asks must know, be it the only one or not.
        return str(created.id)

    def _one_of(self, twins: Sequence[Any]) -> str | None:
        """The id on which everybody agrees who sees the same builds; those after it are cancelled."""
        if not twins:
            return None
        first, *others = sorted(twins, key=lambda build: (build.create_time, build.id))
        for build in others:
            if not status_of(build).terminal:
                self._api.cancel(build.id)
        return str(first.id)

    def _last_image(self, request: BuildRequest) -> str:
        """The newest image of the same repository, by digest; its layers may save time, so trouble is no matter."""
        condition = f'{_tagged(repository_tag(request.image))} AND status="SUCCESS"'
        try:
            found = [build for build in self._api.builds(condition, most=1) if report(build).digest]
        except UpstreamError:
            return ""
        return f"{request.image.rpartition(':')[0]}@{report(found[0]).digest}" if found else ""

    def _last_failure(self, backend_id: str) -> str:
        try:
            tail = self._api.read_log(self._order.log_bucket, backend_id, offset=-_TAIL_BYTES, length=_TAIL_BYTES)
        except UpstreamError:
            # That it failed is known; why is told by Cloud Build's words then.
            return ""
        return last_failure(unprefixed(line) for line in tail.decode(errors="replace").splitlines())


def _tagged(tag: str) -> str:
    return f'tags="{tag}"'
