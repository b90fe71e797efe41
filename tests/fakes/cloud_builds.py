"""A BuildBackend over a service like Cloud Build, which knows no names: every create is another build."""

from __future__ import annotations

from functions.core.errors import UpstreamError
from functions.core.ports import BuildReport, BuildRequest, BuildStatus
from tests.fakes.builds import FakeBackend


class FakeCloudBuilds(FakeBackend):
    """Looks for the build by its name before it creates one, since a create must not be repeated.

    The next *refused* creates are answered 5xx and not done, the next *lost* ones are done all the same. `announced` is
    every change of a status that the service has told of, in order; `trouble` counts the creates that went wrong.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused = self.lost = self.trouble = 0
        self.announced: list[tuple[str, BuildStatus]] = []
        self._names: dict[str, str] = {}

    def submit(self, request: BuildRequest) -> str:
        self._answer()
        return self._names.get(request.name) or self._create(request)

    def finish(
        self, backend_id: str, status: BuildStatus = BuildStatus.SUCCESS, reason: str = "", *, our_fault: bool = False
    ) -> None:
        super().finish(backend_id, status, reason, our_fault=our_fault)
        self.announced.append((backend_id, status))

    def begin(self, backend_id: str) -> None:
        """Let a worker take the build."""
        self.write(backend_id)
        self.announced.append((backend_id, BuildStatus.WORKING))

    @property
    def ids(self) -> list[str]:
        """Every build that was ever created."""
        return [*self._names.values()]

    def _create(self, request: BuildRequest) -> str:
        if self.refused:
            self.refused, self.trouble = self.refused - 1, self.trouble + 1
            raise UpstreamError("Cloud Build", "answered 503.")
        self.submitted.append(request)
        backend_id = self._names[request.name] = f"6d2a7c1e-0000-4000-8000-{len(self.submitted):012}"
        self._reports[backend_id] = BuildReport(backend_id=backend_id, status=BuildStatus.QUEUED)
        self._logs[backend_id] = []
        self.announced.append((backend_id, BuildStatus.QUEUED))
        if self.lost:
            self.lost, self.trouble = self.lost - 1, self.trouble + 1
            raise UpstreamError("Cloud Build", "answered 500.")
        return backend_id
