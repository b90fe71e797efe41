"""Answers to questions about rights: may I, may they, what may I, who am I."""

from __future__ import annotations

from emulator.kube.cluster import Cluster
from emulator.kube.errors import invalid, invalid_review
from emulator.kube.kinds.reviews import ACCESS, RULES, WHO_AM_I
from emulator.kube.objects import Object, dig
from emulator.kube.rbac import Attributes, allowed, grants
from emulator.kube.resource import Resource
from emulator.kube.users import MASTERS, User

EVERYTHING: Object = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
EVERYWHERE: Object = {"verbs": ["*"], "nonResourceURLs": ["*"]}


def answer(cluster: Cluster, resource: Resource, review: Object, *, user: User, namespace: str) -> Object:
    """Return a review with its answer as status."""
    if resource is WHO_AM_I:
        about = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
        return review | {"status": {"userInfo": {key: value for key, value in about.items() if value}}}
    if resource is RULES:
        place = dig(review, "spec", "namespace") or ""
        return review | {"status": _rules(cluster, user, place)}
    wanted = _attributes(review, namespace)
    whom = user if resource is ACCESS else _subject(review)
    may, why = allowed(cluster.store, whom, wanted)
    return review | {"status": {"allowed": may} | ({"reason": why} if why else {})}


def _attributes(review: Object, namespace: str) -> Attributes:
    spec = review.get("spec") or {}
    thing, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (thing is None) == (path is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        cause = invalid("spec.resourceAttributes", "null" if thing is None else thing, why)
        raise invalid_review("authorization.k8s.io", cause)
    if thing is None:
        return Attributes(verb=spec["nonResourceAttributes"].get("verb", ""), path=path.get("path", "") if path else "")
    return Attributes(
        verb=thing.get("verb", ""),
        group=thing.get("group", ""),
        resource=thing.get("resource", ""),
        part=thing.get("subresource", ""),
        namespace=thing.get("namespace", "") or namespace,
        name=thing.get("name", ""),
    )


def _subject(review: Object) -> User:
    spec = review.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        cause = invalid("spec.user", "", "at least one of user or group must be specified")
        raise invalid_review("authorization.k8s.io", cause)
    return User(spec.get("user", ""), groups=tuple(spec.get("groups") or ()))


def _rules(cluster: Cluster, user: User, namespace: str) -> Object:
    if MASTERS in user.groups:
        found = [EVERYTHING, EVERYWHERE]
    else:
        found = [grant.rule for grant in grants(cluster.store, user, namespace)]
    return {
        "resourceRules": [rule for rule in found if "resources" in rule],
        "nonResourceRules": [rule for rule in found if "nonResourceURLs" in rule],
        "incomplete": False,
    }
