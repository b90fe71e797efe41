"""What Pub/Sub refuses, in its own status words; `rpc` turns them into gRPC answers."""

from __future__ import annotations

from typing import ClassVar


class PubSubError(Exception):
    """A refusal; *code* is the name of a gRPC status."""

    code: ClassVar[str] = "INTERNAL"


class AlreadyExists(PubSubError):
    code = "ALREADY_EXISTS"

    def __init__(self, resource: str) -> None:
        super().__init__(f"Resource already exists in the project (resource={resource.rpartition('/')[2]}).")


class NotFound(PubSubError):
    code = "NOT_FOUND"

    def __init__(self, resource: str) -> None:
        super().__init__(f"Resource not found (resource={resource.rpartition('/')[2]}).")


class InvalidArgument(PubSubError):
    code = "INVALID_ARGUMENT"


class FailedPrecondition(PubSubError):
    code = "FAILED_PRECONDITION"


class Unimplemented(PubSubError):
    """A setting of the real service that this one does not have: better refused than silently without effect."""

    code = "UNIMPLEMENTED"
