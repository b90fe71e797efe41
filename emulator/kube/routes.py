"""Paths of the API: which resource, object and part of it a request means."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from emulator.kube import kinds
from emulator.kube.resource import Resource

# Method and whether a name is given -> the verb of Kubernetes (as in roles).
VERBS = {
    ("GET", True): "get",
    ("GET", False): "list",
    ("POST", False): "create",
    ("POST", True): "create",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("DELETE", False): "deletecollection",
}
# Parts of pods that are no documents, but connections.
STREAMS = ("attach", "exec", "portforward")


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. `name` and `part` (the subresource) are empty where the path ends earlier."""

    resource: Resource
    namespace: str
    name: str = ""
    part: str = ""

    def verb(self, method: str) -> str | None:
        """Return the verb for a method, or None where this target does not have it."""
        verb = VERBS.get((method, bool(self.name)))
        if self.part == "proxy" and method == "PUT":
            verb = "update"
        if self.part in STREAMS and method == "GET":
            # However it is opened, a stream is the same act: who may only look must not run commands.
            verb = "create"
        if self.part:
            parts = {part.name: part.verbs for part in self.resource.subresources}
            return verb if verb in parts[self.part] else None
        if verb == "create" and (self.name or (self.resource.namespaced and not self.namespace)):
            return None
        if verb == "deletecollection" and self.resource.namespaced and not self.namespace:
            return None
        return verb if verb in self.resource.verbs else None


def target_of(raw_path: str) -> Target | None:
    """Return what a path names, or None where nothing is served."""
    # Split first, then unquote: a quoted slash belongs to a name (and makes it an invalid one).
    steps = [unquote(step) for step in raw_path.strip("/").split("/")]
    match steps:
        case ["api", version, *rest]:
            return _within("", version, rest)
        case ["apis", group, version, *rest]:
            return _within(group, version, rest)
    return None


def _within(group: str, version: str, steps: list[str]) -> Target | None:
    match steps:
        case ["namespaces", namespace, plural, *rest] if kinds.find(group, version, plural):
            resource = kinds.find(group, version, plural)
            scoped = resource is not None and resource.namespaced
            return _target(resource, namespace, rest) if scoped and namespace else None
        case [plural, *rest]:
            resource = kinds.find(group, version, plural)
            # A namespaced object has no address without its namespace; the list of all has.
            return None if resource and resource.namespaced and rest else _target(resource, "", rest)
    return None


def _target(resource: Resource | None, namespace: str, steps: list[str]) -> Target | None:
    # What follows a proxy is the path of somebody else.
    steps = steps[:2] if steps[1:2] == ["proxy"] else steps
    if resource is None or len(steps) > 2 or not all(steps):
        return None
    name, part = [*steps, "", ""][:2]
    if part and part not in (known.name for known in resource.subresources):
        return None
    return Target(resource, namespace, name, part)
