"""A Publisher that keeps what it is given."""

from __future__ import annotations

from collections.abc import Mapping

from functions.core.errors import BinderError


class FakePublisher:
    """`published` is every message; `errors` are raised, one a call, before any is taken."""

    def __init__(self) -> None:
        self.published: list[tuple[bytes, dict[str, str]]] = []
        self.errors: list[BinderError] = []

    def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.published.append((data, dict(attributes)))
