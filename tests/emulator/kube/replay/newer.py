"""What Kubernetes 1.31 says and the recorded 1.20 did not know: taken out of an answer before it is compared."""

from __future__ import annotations

from typing import Any

# By the field that holds them: fields and labels that came later.
FIELDS = {
    "metadata": ("generation",),
    "labels": ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "kubernetes.io/metadata.name"),
    "spec": (
        "completionMode",
        "suspend",
        "podReplacementPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "internalTrafficPolicy",
    ),
    "status": ("hostIPs", "ready", "uncountedTerminatedPods", "terminating"),
}
CONDITIONS = ("PodReadyToStartContainers", "SuccessCriteriaMet", "FailureTarget")
FINALIZERS = ("batch.kubernetes.io/job-tracking",)


def taken_out(value: Any, name: str = "") -> Any:
    """Return a copy of an answer without what came later; *name* is the field that holds it."""
    if isinstance(value, dict):
        later = FIELDS.get(name, ())
        inner = {key: taken_out(item, key) for key, item in value.items() if key not in later}
        return {key: item for key, item in inner.items() if not (_is_emptied(item) and value[key])}
    if isinstance(value, list):
        return [taken_out(item) for item in value if not _is_later(item, name)]
    return value


def _is_emptied(value: Any) -> bool:
    return value in ({}, [])


def _is_later(item: Any, name: str) -> bool:
    if name == "finalizers":
        return item in FINALIZERS
    return name == "conditions" and isinstance(item, dict) and item.get("type") in CONDITIONS
