"""Refusals, as the Status objects of Kubernetes.

Texts and details are those of a real API server: clients and people read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Status = dict[str, Any]


class Named(Protocol):
    """What an error needs to know of a resource."""

    @property
    def group(self) -> str: ...
    @property
    def plural(self) -> str: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field. `message` is without the field."""

    field: str
    reason: str
    message: str


def required(field: str, hint: str = "") -> Cause:
    return Cause(field, "FieldValueRequired", f"Required value: {hint}" if hint else "Required value")


def invalid(field: str, value: Any, why: str) -> Cause:
    return Cause(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}")


def _shown(value: Any) -> str:
    """Write a value as Go does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        listed = ", ".join(f'"{key}":"{item}"' for key, item in sorted(value.items()))
        return f"map[string]string{{{listed}}}" if value else "map[string]string(nil)"
    if isinstance(value, list):
        return "[]string{" + ", ".join(f'"{item}"' for item in value) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def duplicate(field: str, value: Any) -> Cause:
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")


def not_found_field(field: str, value: str) -> Cause:
    return Cause(field, "FieldValueNotFound", f'Not found: "{value}"')


def forbidden_field(field: str, why: str) -> Cause:
    return Cause(field, "FieldValueForbidden", f"Forbidden: {why}")


def unsupported(field: str, value: Any, supported: Sequence[str]) -> Cause:
    listed = ", ".join(f'"{item}"' for item in supported)
    return Cause(field, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {listed}')


class ApiError(Exception):
    """A request that is answered with a Status of failure."""

    def __init__(
        self, code: int, reason: str, message: str, details: Status | None = None, *, continues: str = ""
    ) -> None:
        self.code, self.reason, self.message = code, reason, message
        self.details, self.continues = details, continues
        super().__init__(message)

    def status(self) -> Status:
        """Return the Status object that a client gets."""
        status: Status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continues} if self.continues else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        return status | {"code": self.code}


def _details(resource: Named, name: str, kind: str = "") -> Status:
    details = {"name": name, "group": resource.group, "kind": kind or resource.plural}
    return {key: value for key, value in details.items() if value}


def qualified(resource: Named) -> str:
    """Return `jobs.batch` for jobs, `pods` for pods."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def not_found(resource: Named, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{qualified(resource)} "{name}" not found', _details(resource, name))


def no_such_resource() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def not_acceptable(message: str) -> ApiError:
    return ApiError(406, "NotAcceptable", message)


def already_exists(resource: Named, name: str, *, being_deleted: bool = False) -> ApiError:
    prefix = "object is being deleted: " if being_deleted else ""
    message = f'{prefix}{qualified(resource)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Named, name: str, why: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(resource)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def expired(message: str, *, continues: str = "") -> ApiError:
    return ApiError(410, "Expired", message, continues=continues)


def too_large_version(wanted: int, current: int) -> ApiError:
    """A version that this server has not come to yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def unsupported_media_type(message: str, details: Status | None = None) -> ApiError:
    return ApiError(415, "UnsupportedMediaType", message, details)


class Undecodable(ApiError):
    """A body that is no object of its kind: a 400, or within a patch what the patch is blamed for."""

    def __init__(self, what: str, detail: str = "") -> None:
        self.detail = detail or what
        super().__init__(400, "BadRequest", f"{what}: {detail}" if detail else what)


def invalid_patch(patched: str, why: str) -> ApiError:
    """A patch whose result is no object."""
    return _invalid("", "", [invalid("patch", patched, why)], {})


def unprocessable() -> ApiError:
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def disruption_refused(budget: str, healthy: int, wanted: int) -> ApiError:
    """An eviction that a disruption budget does not allow now."""
    why = f"The disruption budget {budget} needs {wanted} healthy pods and has {healthy} currently"
    details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(429, "TooManyRequests", message, details)


def service_unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)


def server_error(message: str) -> ApiError:
    """What a real API server answers with 500 and no reason: mostly requests that its decoder stumbles over."""
    return ApiError(500, "", message)


def internal_error(message: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def invalid_object(resource: Named, name: str, causes: Sequence[Cause]) -> ApiError:
    """An object that breaks the rules of its kind."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return _invalid(kind, name, causes, _details(resource, name, resource.kind))


def invalid_options(kind: str, causes: Sequence[Cause]) -> ApiError:
    """Options of a request (ListOptions, DeleteOptions, ...) that contradict each other."""
    return _invalid(f"{kind}.meta.k8s.io", "", causes, {"group": "meta.k8s.io", "kind": kind})


def invalid_review(group: str, cause: Cause) -> ApiError:
    """A question about rights that asks for nothing, or for too much."""
    return _invalid(f".{group}", "", [cause], {"group": group})


def invalid_log_options(pod: str, causes: Sequence[Cause]) -> ApiError:
    return _invalid("PodLogOptions", pod, causes, {"name": pod, "kind": "PodLogOptions"})


def _invalid(kind: str, name: str, causes: Sequence[Cause], details: Status) -> ApiError:
    # What is said twice is said once in the sentence, and twice in the list.
    texts = [*dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes)]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    listed = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details | {"causes": listed})


def forbidden(resource: Named, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    """Something that admission refuses."""
    details = _details(resource, name)
    if causes:
        details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(403, "Forbidden", f'{qualified(resource)} "{name}" is forbidden: {why}', details)
