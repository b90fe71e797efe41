"""Objects as Kubernetes sends them: plain dictionaries, and the few things one always wants from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]


def clone(value: Any) -> Any:
    """Return a deep copy of JSON data."""
    # copy.deepcopy keeps a memo of everything it saw and is five times slower; JSON data is a tree.
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def dig(value: Any, *path: str) -> Any:
    """Return what lies under *path*, or None where the path ends early."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def metadata(obj: Object) -> Object:
    """Return the metadata of an object, or of a template that may have none."""
    return obj.get("metadata") or {}


def name_of(obj: Object) -> str:
    return str(metadata(obj).get("name", ""))


def namespace_of(obj: Object) -> str:
    return str(metadata(obj).get("namespace", ""))


def uid_of(obj: Object) -> str:
    return str(metadata(obj).get("uid", ""))


def labels_of(obj: Object) -> dict[str, str]:
    return metadata(obj).get("labels") or {}


def owners(obj: Object) -> list[Object]:
    """Return the owner references of an object."""
    return metadata(obj).get("ownerReferences") or []


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference of the controller that made this object."""
    return next((owner for owner in owners(obj) if owner.get("controller")), None)


def is_deleting(obj: Object) -> bool:
    return "deletionTimestamp" in metadata(obj)


def is_finished(pod: Object) -> bool:
    """Tell whether all containers of a pod have ended for good."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


def condition(obj: Object, kind: str) -> Object | None:
    """Return the condition of this type."""
    return next((c for c in dig(obj, "status", "conditions") or [] if c.get("type") == kind), None)


def has_condition(obj: Object, kind: str) -> bool:
    """Tell whether the condition of this type is True."""
    return (condition(obj, kind) or {}).get("status") == "True"


def all_containers(spec: Object) -> Iterator[Object]:
    """Yield init containers, then containers, of a pod's spec."""
    yield from spec.get("initContainers") or []
    yield from spec.get("containers") or []


def timestamp(moment: datetime) -> str:
    """Write a time as Kubernetes does: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: datetime) -> str:
    """Write a MicroTime: UTC, microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def later(moment: datetime, seconds: int) -> datetime:
    """Return the moment so many seconds later, or the last one that can be written."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def moment_of(text: Any) -> datetime | None:
    """Read a time of Kubernetes; None for what is absent or is none."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
