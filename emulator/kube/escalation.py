"""Nobody gives rights that they do not have, neither to others nor to themselves.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, product

from emulator.kube.cluster import Cluster
from emulator.kube.errors import forbidden
from emulator.kube.kinds import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from emulator.kube.objects import Object, name_of
from emulator.kube.rbac import Attributes, allowed, allows, grants
from emulator.kube.resource import Resource
from emulator.kube.users import MASTERS, User

# A rule of a few long lists stands for very many rights, and each is looked for among all that somebody has.
MOST_RIGHTS, MOST_SHOWN = 10_000, 20
# What each kind gives rights by.
GIVING = {
    ROLES.id: "rules", CLUSTER_ROLES.id: "rules",
    ROLE_BINDINGS.id: "subjects", CLUSTER_ROLE_BINDINGS.id: "subjects",
}  # fmt: skip


def confirm_no_escalation(
    cluster: Cluster, resource: Resource, namespace: str, new: Object, old: Object | None, user: User
) -> None:
    """Raise the 403 when *user* writes a role or a binding that gives more than they have.

    Exempt are who may `escalate` roles or `bind` the role, and changes of what gives no rights.
    """
    field = GIVING.get(resource.id)
    if field is None or MASTERS in user.groups or (old is not None and old.get(field) == new.get(field)):
        return
    if field == "rules":
        verb, role, name = "escalate", resource, name_of(new)
    else:
        verb, name = "bind", str(new["roleRef"]["name"])
        role = CLUSTER_ROLES if new["roleRef"]["kind"] == "ClusterRole" else ROLES
    if allowed(cluster.store, user, Attributes(verb, role.group, role.plural, "", namespace, name))[0]:
        return
    given = new if field == "rules" else cluster.existing(role, namespace if role.namespaced else "", name)
    held = [grant.rule for grant in grants(cluster.store, user, namespace)]
    if missing := _missing(given.get("rules") or [], held):
        who = f'user "{user.name}" (groups=[{" ".join(_quoted(user.groups))}])'
        why = f"{who} is attempting to grant RBAC permissions not currently held:\n"
        raise forbidden(resource, name_of(new), why + "\n".join(_shown(missing)))


def _missing(rules: list[Object], held: list[Object]) -> list[Attributes]:
    rights = [*islice((right for rule in rules for right in _rights(rule)), MOST_RIGHTS + 1)]
    if len(rights) > MOST_RIGHTS:
        return rights
    return [right for right in rights if not any(_covers(rule, right) for rule in held)]


def _rights(rule: Object) -> Iterator[Attributes]:
    """Yield what a rule allows, one by one; a right to all names has none."""
    names = rule.get("resourceNames") or [""]
    for verb in rule.get("verbs") or []:
        yield from (Attributes(verb, path=path) for path in rule.get("nonResourceURLs") or [])
        for group, resource, name in product(rule.get("apiGroups") or [], rule.get("resources") or [], names):
            plural, _, part = resource.partition("/")
            yield Attributes(verb, group, plural, part, name=name)


def _covers(rule: Object, right: Attributes) -> bool:
    return allows(rule, right) and (bool(right.name) or not rule.get("resourceNames"))


def _shown(rights: Iterable[Attributes]) -> Iterator[str]:
    """Write rights as Kubernetes does: what concerns the same thing in one line."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        resource = f"{right.resource}/{right.part}" if right.part else right.resource
        parts = {"NonResourceURLs": right.path} if right.path else {"APIGroups": right.group, "Resources": resource}
        parts |= {"ResourceNames": right.name} if right.name else {}
        verbs.setdefault(", ".join(f'{part}:["{value}"]' for part, value in parts.items()), []).append(right.verb)
    for thing, listed in islice(verbs.items(), MOST_SHOWN):
        yield f"{{{thing}, Verbs:[{' '.join(_quoted(listed))}]}}"


def _quoted(texts: Iterable[str]) -> list[str]:
    return [f'"{text}"' for text in texts]
