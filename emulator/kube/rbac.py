"""Role-based access: which rules a user has, and what they allow. Pure over the store.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emulator.kube.errors import ApiError
from emulator.kube.kinds import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from emulator.kube.objects import Object, name_of, namespace_of
from emulator.kube.store import Key, Store
from emulator.kube.users import AUTHENTICATED, MASTERS, User

ALL = "*"
# What anybody may see (the role system:public-info-viewer), and what everybody with a name may.
PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
DISCOVERY = ("/", "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *PUBLIC)
BASIC_RULES: list[Object] = [
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do: with a resource, or with a path."""

    verb: str
    group: str = ""
    resource: str = ""
    part: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A rule, and through which binding a user has it."""

    rule: Object
    binding: Object | None


def grants(store: Store, user: User, namespace: str) -> Iterator[Grant]:
    """Yield the rules that a user has in a namespace (all rules of cluster roles included)."""
    if AUTHENTICATED in user.groups:
        yield from (Grant(rule, None) for rule in BASIC_RULES)
    for resource, place in ((CLUSTER_ROLE_BINDINGS, ""), (ROLE_BINDINGS, namespace)):
        if resource is ROLE_BINDINGS and not namespace:
            continue
        for binding in store.objects(resource.id, place):
            if any(_is(subject, user, namespace_of(binding)) for subject in binding.get("subjects") or []):
                yield from (Grant(rule, binding) for rule in _rules(store, binding))


def _rules(store: Store, binding: Object) -> list[Object]:
    reference = binding["roleRef"]
    if reference.get("kind") == "ClusterRole":
        role = store.get(Key(CLUSTER_ROLES.id, "", reference["name"]))
    else:
        role = store.get(Key(ROLES.id, namespace_of(binding), reference["name"]))
    return (role or {}).get("rules") or []


def _is(subject: Object, user: User, namespace: str) -> bool:
    kind, name = subject.get("kind"), str(subject.get("name"))
    if kind == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return (kind == "User" and user.name == name) or (kind == "Group" and name in user.groups)


def allowed(store: Store, user: User, wanted: Attributes) -> tuple[bool, str]:
    """Tell whether a user may do this, and why."""
    if MASTERS in user.groups:
        return True, ""
    if wanted.path and _is_public(wanted, user):
        return True, ""
    for grant in grants(store, user, wanted.namespace):
        if allows(grant.rule, wanted):
            return True, _why(grant, user)
    return False, ""


def require(store: Store, user: User, wanted: Attributes) -> None:
    """Raise the 403 for a user who may not do this with a resource."""
    if allowed(store, user, wanted)[0]:
        return
    resource = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    named = f'"{wanted.name}" ' if wanted.name else ""
    plural = f"{wanted.resource}/{wanted.part}" if wanted.part else wanted.resource
    where = f' in the namespace "{wanted.namespace}"' if wanted.namespace else " at the cluster scope"
    message = (
        f"{resource} {named}is forbidden: "
        f'User "{user.name}" cannot {wanted.verb} resource "{plural}" in API group "{wanted.group}"{where}'
    )
    details = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
    raise ApiError(403, "Forbidden", message, {key: value for key, value in details.items() if value})


def _is_public(wanted: Attributes, user: User) -> bool:
    known = DISCOVERY if AUTHENTICATED in user.groups else PUBLIC
    return wanted.verb in ("get", "head") and any(_path_fits(path, wanted.path) for path in known)


def _path_fits(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path.rstrip("/") == pattern.rstrip("/")


def allows(rule: Object, wanted: Attributes) -> bool:
    """Tell whether a rule allows this, in the namespaces where it holds."""
    if not _matches(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(_path_fits(pattern, wanted.path) for pattern in rule.get("nonResourceURLs") or [])
    resource = f"{wanted.resource}/{wanted.part}" if wanted.part else wanted.resource
    listed = rule.get("resources") or []
    return (
        _matches(rule.get("apiGroups"), wanted.group)
        and (_matches(listed, resource) or (bool(wanted.part) and f"*/{wanted.part}" in listed))
        and (not rule.get("resourceNames") or wanted.name in rule["resourceNames"])
    )


def _matches(listed: list[str] | None, wanted: str) -> bool:
    return ALL in (listed or ()) or wanted in (listed or ())


def _why(grant: Grant, user: User) -> str:
    if grant.binding is None:
        return ""
    place = f"{name_of(grant.binding)}/{namespace_of(grant.binding)}".rstrip("/")
    role = grant.binding["roleRef"]
    subject = next(s for s in grant.binding["subjects"] if _is(s, user, namespace_of(grant.binding)))
    whom = f'{subject["kind"]} "{subject["name"]}"'
    return f'RBAC: allowed by {grant.binding["kind"]} "{place}" of {role["kind"]} "{role["name"]}" to {whom}'
