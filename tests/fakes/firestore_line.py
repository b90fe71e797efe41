"""A bad line to Firestore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.api_core.exceptions import ServiceUnavailable

LOST = ServiceUnavailable("connection reset")


class Line:
    """The SDK's client behind a bad line. `before` and `after` are raised, one a call of *verb*, instead of sending the
    request and instead of giving its answer; None lets one pass. `meanwhile` is done before an error is raised."""

    def __init__(self, client: Any = None, verb: str = "commit") -> None:
        self._client, self._verb = client, verb
        self.before: list[Exception | None] = []
        self.after: list[Exception | None] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.calls: list[str] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(**options: Any) -> Any:
            self.calls.append(verb)
            if verb != self._verb:
                return getattr(self._client, verb)(**options)
            self._fail(self.before)
            answer = getattr(self._client, verb)(**options)
            self._fail(self.after)
            return answer

        return call

    def _fail(self, errors: list[Exception | None]) -> None:
        error = errors.pop(0) if errors else None
        if error:
            self.meanwhile()
            raise error
