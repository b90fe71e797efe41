"""Service accounts, roles and who has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from emulator.kube.ages import age
from emulator.kube.errors import Cause, invalid, required, unsupported
from emulator.kube.kinds.columns import AGE, NAME
from emulator.kube.objects import Object, metadata
from emulator.kube.resource import Column, Resource

GROUP = "rbac.authorization.k8s.io"

SERVICE_ACCOUNTS = Resource(
    kind="ServiceAccount",
    plural="serviceaccounts",
    short_names=("sa",),
    answers_deleted_object=True,
    columns=(NAME, Column("Secrets", lambda account, _now: len(account.get("secrets") or [])), AGE),
)


def _role_causes(role: Object) -> list[Cause]:
    return list(_rule_causes(role.get("rules") or []))


def _rule_causes(rules: list[Object]) -> Iterator[Cause]:
    for index, rule in enumerate(rules):
        field = f"rules[{index}]"
        if not rule.get("verbs"):
            yield required(f"{field}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            yield required(f"{field}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{field}.resources", "resource rules must supply at least one resource")


def _default_binding(binding: Object) -> None:
    reference = binding.get("roleRef") or {}
    if reference and not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in binding.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", GROUP)


def _binding_causes(binding: Object) -> list[Cause]:
    reference = binding.get("roleRef") or {}
    causes = [*_reference_causes(reference, binding["kind"])]
    for index, subject in enumerate(binding.get("subjects") or []):
        causes += _subject_causes(subject, f"subjects[{index}]", namespaced=binding["kind"] == "RoleBinding")
    return causes


def _reference_causes(reference: Object, kind: str) -> Iterator[Cause]:
    allowed = ("Role", "ClusterRole") if kind == "RoleBinding" else ("ClusterRole",)
    if reference.get("apiGroup", "") != GROUP:
        yield unsupported("roleRef.apiGroup", reference.get("apiGroup", ""), (GROUP,))
    if reference.get("kind", "") not in allowed:
        yield unsupported("roleRef.kind", reference.get("kind", ""), allowed)
    if not reference.get("name"):
        yield required("roleRef.name")


def _subject_causes(subject: Object, field: str, *, namespaced: bool) -> Iterator[Cause]:
    if not subject.get("name"):
        yield required(f"{field}.name")
    kinds = ("ServiceAccount", "User", "Group")
    if subject.get("kind", "") not in kinds:
        yield unsupported(f"{field}.kind", subject.get("kind", ""), kinds)
    elif subject["kind"] == "ServiceAccount" and not (namespaced or subject.get("namespace")):
        yield required(f"{field}.namespace")


def _binding_update_causes(new: Object, old: Object) -> list[Cause]:
    changed = new.get("roleRef") != old.get("roleRef")
    return [invalid("roleRef", new.get("roleRef") or {}, "cannot change roleRef")] if changed else []


def _created_at(role: Object, _now: datetime) -> str:
    return str(metadata(role).get("creationTimestamp", ""))


def _role(binding: Object, _now: datetime) -> str:
    return f"{binding['roleRef']['kind']}/{binding['roleRef']['name']}"


def _subjects(kind: str) -> Callable[[Object, datetime], Any]:
    def listed(binding: Object, _now: datetime) -> str:
        found = [subject for subject in binding.get("subjects") or [] if subject.get("kind") == kind]
        names = (
            f"{subject.get('namespace', '')}/{subject['name']}" if kind == "ServiceAccount" else str(subject["name"])
            for subject in found
        )
        return ", ".join(names)

    return listed


_ROLE_COLUMNS = (NAME, Column("Created At", _created_at, type="date"))
_BINDING_COLUMNS = (
    NAME,
    Column("Role", _role),
    Column("Age", age),
    Column("Users", _subjects("User"), priority=1),
    Column("Groups", _subjects("Group"), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1),
)


def _roles(kind: str, plural: str, *, namespaced: bool) -> Resource:
    return Resource(
        kind=kind,
        plural=plural,
        group=GROUP,
        namespaced=namespaced,
        name_rule="path",
        created_by_put=True,
        validate=_role_causes,
        columns=_ROLE_COLUMNS,
    )


def _bindings(kind: str, plural: str, *, namespaced: bool) -> Resource:
    return Resource(
        kind=kind,
        plural=plural,
        group=GROUP,
        namespaced=namespaced,
        name_rule="path",
        created_by_put=True,
        default=_default_binding,
        validate=_binding_causes,
        validate_update=_binding_update_causes,
        columns=_BINDING_COLUMNS,
    )


CLUSTER_ROLE_BINDINGS = _bindings("ClusterRoleBinding", "clusterrolebindings", namespaced=False)
CLUSTER_ROLES = _roles("ClusterRole", "clusterroles", namespaced=False)
ROLE_BINDINGS = _bindings("RoleBinding", "rolebindings", namespaced=True)
ROLES = _roles("Role", "roles", namespaced=True)
