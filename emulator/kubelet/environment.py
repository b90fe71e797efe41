"""The environment and command line of a container, as Kubernetes makes them. Pure.

https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.kubelet.names import check_text, is_environment_name
from emulator.kubelet.quantity import parse_quantity

Manifest = Mapping[str, Any]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")


class ConfigError(Exception):
    """The container cannot be created as its spec says (CreateContainerConfigError)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A config map or secret that a pod refers to; *kind* is the resource's plural name."""

    kind: str
    name: str

    def missing(self) -> str:
        return f'{self.kind.removesuffix("s")} "{self.name}" not found'


# The data of what was found; an absent one is None.
Sources = Mapping[Source, Mapping[str, bytes] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Downward:
    """What a container may ask about its pod."""

    pod: Manifest
    pod_ip: str
    host_ip: str
    allocatable: Mapping[str, str]


def referenced(container: Manifest) -> Iterator[Source]:
    """Every config map and secret that the environment of *container* needs."""
    for each in container.get("envFrom") or ():
        if "configMapRef" in each:
            yield Source("configmaps", each["configMapRef"]["name"])
        if "secretRef" in each:
            yield Source("secrets", each["secretRef"]["name"])
    for each in container.get("env") or ():
        value_from = each.get("valueFrom") or {}
        if "configMapKeyRef" in value_from:
            yield Source("configmaps", value_from["configMapKeyRef"]["name"])
        if "secretKeyRef" in value_from:
            yield Source("secrets", value_from["secretKeyRef"]["name"])


def container_environment(container: Manifest, *, sources: Sources, downward: Downward) -> dict[str, str]:
    """The variables that the spec of *container* gives, without those of the image. Raises ConfigError."""
    environment: dict[str, str] = {}
    for each in container.get("envFrom") or ():
        environment |= _all_of(each, sources)
    for each in container.get("env") or ():
        value = _value(each, environment, container=container, sources=sources, downward=downward)
        if value is not None:
            environment[each["name"]] = value
    for name, value in environment.items():
        check_text(f"variable {name}", name + value)
    return {name: value for name, value in environment.items() if is_environment_name(name)}


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace every `$(NAME)` that *environment* knows; `$$` stands for one `$`, and the unknown stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else environment.get(name, match.group(0))

    return _REFERENCE.sub(replacement, text)


def command_line(
    container: Manifest, environment: Mapping[str, str], *, entrypoint: Sequence[str], command: Sequence[str]
) -> tuple[str, ...]:
    """What to execute: the container's command replaces the image's entrypoint and command, its args the command.

    https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
    Raises ConfigError when nothing is left to execute.
    """
    own_command, own_args = container.get("command") or (), container.get("args") or ()
    line = [expand(each, environment) for each in own_command] or list(entrypoint)
    if own_args:
        line += [expand(each, environment) for each in own_args]
    elif not own_command:
        line += command
    if not line:
        raise ConfigError("no command specified")
    return tuple(check_text("argument", each) for each in line)


def field_value(path: str, downward: Downward) -> str:
    """What *path* of the downward API stands for. Raises ConfigError."""
    metadata, spec = downward.pod["metadata"], downward.pod["spec"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    plain = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": downward.pod_ip,
        "status.podIPs": downward.pod_ip,
        "status.hostIP": downward.host_ip,
        "status.hostIPs": downward.host_ip,
    }
    if path not in plain:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(plain[path])


def resource_value(reference: Manifest, container: Manifest, downward: Downward) -> str:
    """What a resourceFieldRef stands for: a limit not given is what the node has. Raises ConfigError."""
    kind, _, resource = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    given = (resources.get(kind) or {}).get(resource)
    if given is None and kind == "limits":
        given = downward.allocatable.get(resource)
    try:
        divisor = parse_quantity(reference.get("divisor") or 1) or parse_quantity(1)
        return str(math.ceil(parse_quantity(given or 0) / divisor))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _all_of(reference: Manifest, sources: Sources) -> dict[str, str]:
    kind, key = ("configmaps", "configMapRef") if "configMapRef" in reference else ("secrets", "secretRef")
    target = reference.get(key) or {}
    data = _data(Source(kind, target.get("name", "")), sources, optional=bool(target.get("optional")))
    prefix = reference.get("prefix") or ""
    return {prefix + name: _text(value) for name, value in data.items() if is_environment_name(prefix + name)}


def _value(
    variable: Manifest, environment: Mapping[str, str], *, container: Manifest, sources: Sources, downward: Downward
) -> str | None:
    value_from = variable.get("valueFrom") or {}
    if "fieldRef" in value_from:
        return field_value(value_from["fieldRef"]["fieldPath"], downward)
    if "resourceFieldRef" in value_from:
        return resource_value(value_from["resourceFieldRef"], container, downward)
    if "configMapKeyRef" in value_from:
        return _one_of("configmaps", value_from["configMapKeyRef"], sources, downward)
    if "secretKeyRef" in value_from:
        return _one_of("secrets", value_from["secretKeyRef"], sources, downward)
    return expand(variable.get("value") or "", environment)


def _one_of(kind: str, reference: Manifest, sources: Sources, downward: Downward) -> str | None:
    optional = bool(reference.get("optional"))
    source = Source(kind, reference["name"])
    data = _data(source, sources, optional=optional)
    value = data.get(reference["key"])
    if value is not None:
        return _text(value)
    if optional:
        return None
    shown = {"configmaps": "ConfigMap", "secrets": "Secret"}[kind]
    namespace = downward.pod["metadata"]["namespace"]
    raise ConfigError(f"couldn't find key {reference['key']} in {shown} {namespace}/{source.name}")


def _data(source: Source, sources: Sources, *, optional: bool) -> Mapping[str, bytes]:
    data = sources.get(source)
    if data is None and not optional:
        raise ConfigError(source.missing())
    return data or {}


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")
