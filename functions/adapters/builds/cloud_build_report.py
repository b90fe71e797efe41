"""What Cloud Build tells about a build. Pure: a Build as google-cloud-build has it goes in."""

from __future__ import annotations

from typing import Any

from functions.core.ports import BuildReport, BuildStatus

_LONGEST_REASON = 1000

# Not the repository's doing. What is not here is: a step that ended with an error is repo2docker's answer.
# https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#failuretype
_OUR_FAILURES = {
    "PUSH_FAILED": "The image was built, but could not be pushed.",
    "PUSH_IMAGE_NOT_FOUND": "The build ended well, but left no image.",
    "PUSH_NOT_AUTHORIZED": "The image was built, but the builder may not push it.",
    "LOGGING_FAILURE": "The build was stopped because its log could not be written.",
    "FETCH_SOURCE_FAILED": "The build could not be started.",
}
_OUR_STATUSES = {
    BuildStatus.INTERNAL_ERROR: "The build was interrupted by an error of Cloud Build.",
    BuildStatus.EXPIRED: "The build waited too long for a machine.",
    BuildStatus.CANCELLED: "The build was cancelled.",
}


def report(build: Any) -> BuildReport:
    """Where *build* stands. Its `reason` does not tell what repo2docker said: that is in the log."""
    status = status_of(build)
    reason, our_fault = _why(build, status)
    return BuildReport(
        backend_id=build.id,
        status=status,
        reason=reason[:_LONGEST_REASON],
        our_fault=our_fault,
        finished_at=build.finish_time if status.terminal else None,
        digest=_digest(build) if status is BuildStatus.SUCCESS else "",
    )


def status_of(build: Any) -> BuildStatus:
    """The status; one that we do not know is of a build that goes on."""
    try:
        return BuildStatus(build.status.name)
    except (AttributeError, ValueError):
        return BuildStatus.PENDING


def failed_in_repo2docker(build: Any) -> bool:
    """Whether its log says why it failed."""
    return status_of(build) is BuildStatus.FAILURE and _failure(build) not in _OUR_FAILURES


def _why(build: Any, status: BuildStatus) -> tuple[str, bool]:
    if status is BuildStatus.TIMEOUT:
        return f"The build was stopped because it took longer than {build.timeout.seconds} seconds.", False
    if status in _OUR_STATUSES:
        return _sentence(_OUR_STATUSES[status], build), True
    if status is not BuildStatus.FAILURE:
        return "", False
    ours = _OUR_FAILURES.get(_failure(build))
    return (_sentence(ours, build), True) if ours else (_sentence("The build failed.", build), False)


def _sentence(words: str, build: Any) -> str:
    detail = (build.failure_info.detail or build.status_detail).strip()
    return f"{words} {detail}".strip()


def _failure(build: Any) -> str:
    return str(getattr(build.failure_info.type_, "name", ""))


def _digest(build: Any) -> str:
    """Of the image that the build was asked for; images are pushed under no other name."""
    wanted = list(build.images)
    found = {image.name: image.digest for image in build.results.images}
    return str(found.get(wanted[0], "")) if wanted else ""
