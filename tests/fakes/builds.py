"""A BuildBackend whose builds end when a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from functions.core.errors import BinderError
from functions.core.ports import BuildReport, BuildRequest, BuildStatus, LogChunk

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeBackend:
    """`submitted` is every build that was started, `cancelled` every id that was to be stopped.

    `write` adds to a log, `finish` ends a build; `error`, if set, is raised by every call.
    """

    def __init__(self) -> None:
        self.submitted: list[BuildRequest] = []
        self.cancelled: list[str] = []
        self.log_reads: list[tuple[str, str]] = []
        self.error: BinderError | None = None
        self._reports: dict[str, BuildReport] = {}
        self._logs: dict[str, list[str]] = {}

    def submit(self, request: BuildRequest) -> str:
        self._answer()
        if request.name not in self._reports:
            self.submitted.append(request)
            self._reports[request.name] = BuildReport(backend_id=request.name, status=BuildStatus.QUEUED)
            self._logs[request.name] = []
        return request.name

    def status(self, backend_id: str) -> BuildReport | None:
        self._answer()
        return self._reports.get(backend_id)

    def log(self, backend_id: str, cursor: str = "") -> LogChunk:
        self._answer()
        self.log_reads.append((backend_id, cursor))
        lines = self._logs.get(backend_id, [])
        return LogChunk(lines=tuple(lines[int(cursor or 0) :]), cursor=str(len(lines)))

    def cancel(self, backend_id: str) -> None:
        self._answer()
        self.cancelled.append(backend_id)
        report = self._reports.get(backend_id)
        if report and not report.status.terminal:
            del self._reports[backend_id], self._logs[backend_id]

    def list(self) -> Sequence[BuildReport]:
        self._answer()
        return [*self._reports.values()]

    def write(self, backend_id: str, *lines: str) -> None:
        """Let the build write *lines*."""
        self._logs[backend_id].extend(lines)
        self._reports[backend_id] = BuildReport(backend_id=backend_id, status=BuildStatus.WORKING)

    def finish(
        self,
        backend_id: str,
        status: BuildStatus = BuildStatus.SUCCESS,
        reason: str = "",
        *,
        our_fault: bool = False,
    ) -> None:
        """End the build."""
        self._reports[backend_id] = BuildReport(
            backend_id=backend_id, status=status, reason=reason, our_fault=our_fault, finished_at=NOON
        )

    def _answer(self) -> None:
        if self.error:
            raise self.error
