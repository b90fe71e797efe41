"""A build: one for each image, whoever asks for it and however often."""

from __future__ import annotations

from dataclasses import dataclass, replace

from functions.core.names import job_name
from functions.core.ports import BuildReport, BuildRequest, BuildStatus, ResolvedRepo
from functions.core.specs import is_sha

LEASE_S = 60.0
# How exactly it is known when an image was last launched; many launches of one are one write.
LAUNCHED_WITHIN_S = 86400.0
# Providers whose data are all at the site that the operator has set; at others', whoever launches names the site.
_OF_ONE_SITE = frozenset({"zenodo", "figshare", "hydroshare"})

# Cloud Build announces states in any order and more than once; a build only ever moves to a higher rank.
_RANK = {BuildStatus.PENDING: 0, BuildStatus.QUEUED: 1, BuildStatus.WORKING: 2}
_TERMINAL_RANK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The record of a build, keyed by its image. Times are seconds since the epoch, 0 when not yet.

    PENDING means that nobody has told the backend yet; whoever holds the lease is about to. `attempt` counts from 1
    and is part of the backend's name for the build, so that a repeated submit of one attempt is the same build.
    `provider` is the prefix of the launch link or webhook that first asked for it. `launched_at` is when a server of
    its image was last asked for, to a day. `troubles` is how many attempts in a row have failed without
    a fault of the repository.
    """

    image: str
    repo_url: str
    ref: str
    backend: str
    created_at: float
    appendix: str = ""
    provider: str = ""
    attempt: int = 1
    status: BuildStatus = BuildStatus.PENDING
    backend_id: str = ""
    lease_until: float = 0.0
    finished_at: float = 0.0
    reason: str = ""
    our_fault: bool = False
    digest: str = ""
    launched_at: float = 0.0
    troubles: int = 0

    @property
    def open(self) -> bool:
        return not self.status.terminal

    @property
    def succeeded(self) -> bool:
        return self.status is BuildStatus.SUCCESS

    @property
    def request(self) -> BuildRequest:
        return BuildRequest(
            name=job_name(self.image, self.attempt),
            image=self.image,
            repo_url=self.repo_url,
            ref=self.ref,
            appendix=self.appendix,
        )


def made_of_another(build: Build, repo: ResolvedRepo) -> bool:
    """Whether the image of *build* holds something else than *repo*, although both have the same name.

    BinderHub's names do not tell the sites of datasets apart, so a stranger's site can have a dataset of the same name
    and date. What is named by a commit is the same wherever it is; and at one site a record is the same by each of its
    DOIs, in any case of letters.
    """
    another = build.repo_url.lower() != repo.repo_url.lower()
    return another and repo.provider not in _OF_ONE_SITE and not is_sha(repo.sha)


def filled_appendix(template: str, *, binder_url: str, repo_url: str) -> str:
    """The operator's Dockerfile lines for one repository. All other braces stay as they are."""
    return template.replace("{binder_url}", binder_url).replace("{repo_url}", repo_url)


def to_submit(build: Build, *, now: float) -> Build | None:
    """The build under a new lease if it waits for someone to submit it, else None."""
    if build.status is not BuildStatus.PENDING or build.lease_until > now:
        return None
    return replace(build, lease_until=now + LEASE_S)


def to_retry(build: Build, *, now: float, pause_s: float) -> Build | None:
    """The next attempt of a failed build, under a lease; None while the build is fine or its failure is fresh.

    A failure that was ours, not the repository's, needs no pause.
    """
    if build.open or build.succeeded:
        return None
    if not build.our_fault and now < build.finished_at + pause_s:
        return None
    return replace(
        build,
        attempt=build.attempt + 1,
        status=BuildStatus.PENDING,
        backend_id="",
        created_at=now,
        lease_until=now + LEASE_S,
        finished_at=0.0,
        reason="",
        our_fault=False,
        digest="",
    )


def submitted(build: Build, backend_id: str) -> Build:
    """The build after the backend has taken it."""
    return replace(build, backend_id=backend_id, status=BuildStatus.QUEUED, lease_until=0.0)


def reported(build: Build, report: BuildReport, *, now: float) -> Build:
    """The build after the backend's *report*; unchanged when the report is older than what is known."""
    if _rank(report.status) <= _rank(build.status):
        return build
    finished_at = report.finished_at.timestamp() if report.finished_at else now
    return replace(
        build,
        status=report.status,
        reason=report.reason,
        our_fault=report.our_fault,
        finished_at=finished_at if report.status.terminal else 0.0,
        digest=report.digest,
        troubles=build.troubles + 1 if report.our_fault else 0,
    )


def launched(build: Build, *, now: float) -> Build | None:
    """The build after a launch of its image; None when that was written today already."""
    return replace(build, launched_at=now) if now - build.launched_at > LAUNCHED_WITHIN_S else None


def wanted_at(build: Build) -> float:
    """When its image was last wanted: launched, or built for whoever would."""
    return max(build.launched_at, build.finished_at, build.created_at)


def lost(build: Build, *, now: float) -> Build:
    """The build after the backend has said that it does not know it."""
    return replace(
        build,
        status=BuildStatus.INTERNAL_ERROR,
        reason="The build was lost by the build backend. Please try again.",
        our_fault=True,
        finished_at=now,
        troubles=build.troubles + 1,
    )


def removed(build: Build, *, now: float) -> Build:
    """The build whose image was deleted since: it was built well, so this is no trouble."""
    return replace(lost(build, now=now), troubles=0)


def cancelled(build: Build, reason: str, *, now: float) -> Build | None:
    """The build that nobody wants any more; None when it has ended, or is just being submitted.

    Whoever comes to want it need not wait for another attempt: it was not the repository that failed.
    """
    if not build.open or not build.backend_id:
        return None
    return replace(build, status=BuildStatus.CANCELLED, reason=reason, our_fault=True, finished_at=now)


def given_up(build: Build, *, now: float) -> Build:
    """The build that did not end, however long it was waited for."""
    return replace(
        build,
        status=BuildStatus.EXPIRED,
        reason="The build did not end in time and was given up. Please try again.",
        our_fault=True,
        finished_at=now,
        troubles=build.troubles + 1,
    )


def _rank(status: BuildStatus) -> int:
    return _RANK.get(status, _TERMINAL_RANK)
