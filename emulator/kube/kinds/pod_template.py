"""The spec of a pod, alone or as a job's template: its defaults and its rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emulator.kube.errors import Cause, duplicate, invalid, required, unsupported
from emulator.kube.names import ENVIRONMENT, LABEL, SUBDOMAIN
from emulator.kube.objects import Object, all_containers
from emulator.kube.quantities import WHAT_IT_IS, quantity

RESTART_POLICIES = ("Always", "OnFailure", "Never")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PROTOCOLS = ("SCTP", "TCP", "UDP")
BIGGEST_INT32 = 2**31 - 1

# The paths that the downward API knows, but for single labels and annotations.
FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip


def default_pod_spec(spec: Object) -> None:
    """Fill in what a client left out of a pod's spec or a template's."""
    spec.setdefault("restartPolicy", "Always")
    if spec.get("terminationGracePeriodSeconds", 30) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in all_containers(spec):
        _default_container(container)
    for volume in spec.get("volumes") or []:
        _default_volume(volume)


def _default_container(container: Object) -> None:
    container.setdefault("resources", {})
    requests_follow_limits(container["resources"])
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", "Always" if _is_latest(container.get("image", "")) else "IfNotPresent")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or []:
        if field := (variable.get("valueFrom") or {}).get("fieldRef"):
            field.setdefault("apiVersion", "v1")
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        _default_probe(container.get(probe))


def requests_follow_limits(resources: Object) -> None:
    """A limit without a request is a request too."""
    if limits := resources.get("limits"):
        resources["requests"] = limits | (resources.get("requests") or {})


def _is_latest(image: str) -> bool:
    last = image.rpartition("/")[2]
    return "@" not in last and (":" not in last or last.endswith(":latest"))


def _default_probe(probe: Any) -> None:
    if not isinstance(probe, dict):
        return
    defaults = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    for name, value in defaults.items():
        probe.setdefault(name, value)
    if isinstance(get := probe.get("httpGet"), dict):
        get.setdefault("path", "/")
        get.setdefault("scheme", "HTTP")


def _default_volume(volume: Object) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if isinstance(volume.get(source), dict):
            volume[source].setdefault("defaultMode", 0o644)


def pod_spec_causes(spec: Object, path: str) -> Iterator[Cause]:
    """Yield what is wrong with a pod's spec (with defaults filled in)."""
    yield from _volume_causes(spec.get("volumes") or [], f"{path}.volumes")
    seen: set[str] = set()
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or []):
            yield from _container_causes(container, f"{path}.{group}[{index}]", seen)
    yield from _one_of(f"{path}.restartPolicy", spec["restartPolicy"], RESTART_POLICIES)
    yield from _one_of(f"{path}.dnsPolicy", spec["dnsPolicy"], DNS_POLICIES)
    deadline = spec.get("activeDeadlineSeconds", 1)
    if not 1 <= deadline <= BIGGEST_INT32:
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {BIGGEST_INT32}, inclusive")
    for field in ("nodeName", "serviceAccountName"):
        if name := spec.get(field):
            yield from (invalid(f"{path}.{field}", name, text) for text in SUBDOMAIN.problems(name))
    for index, toleration in enumerate(spec.get("tolerations") or []):
        operator = toleration.get("operator") or "Equal"
        yield from _one_of(f"{path}.tolerations[{index}].operator", operator, ("Equal", "Exists"))


def _one_of(field: str, value: str, supported: tuple[str, ...]) -> Iterator[Cause]:
    if value not in supported:
        yield unsupported(field, value, supported)


def _volume_causes(volumes: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        yield from _name_causes(volume.get("name", ""), f"{path}[{index}].name", seen)


def _name_causes(name: str, field: str, seen: set[str]) -> Iterator[Cause]:
    if not name:
        yield required(field)
        return
    yield from (invalid(field, name, text) for text in LABEL.problems(name))
    if name in seen:
        yield duplicate(field, name)
    seen.add(name)


def _container_causes(container: Object, path: str, seen: set[str]) -> Iterator[Cause]:
    yield from _name_causes(container.get("name", ""), f"{path}.name", seen)
    image = container.get("image", "")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from _port_causes(container.get("ports") or [], f"{path}.ports")
    for index, variable in enumerate(container.get("env") or []):
        yield from _env_causes(variable, f"{path}.env[{index}]")
    yield from _one_of(f"{path}.imagePullPolicy", container["imagePullPolicy"], PULL_POLICIES)
    yield from _resource_causes(container["resources"], f"{path}.resources")


def _port_causes(ports: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        field, name, number = f"{path}[{index}]", port.get("name", ""), port.get("containerPort", 0)
        if len(name) > 15:
            yield invalid(f"{field}.name", name, "must be no more than 15 characters")
        if name and not name.replace("-", "").isalnum() or name != name.lower():
            what = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
            yield invalid(f"{field}.name", name, what)
        if name and name in seen:
            yield duplicate(f"{field}.name", name)
        seen.add(name)
        if not number:
            yield required(f"{field}.containerPort")
        elif not 1 <= number <= 65535:
            yield invalid(f"{field}.containerPort", number, "must be between 1 and 65535, inclusive")
        yield from _one_of(f"{field}.protocol", port["protocol"], PROTOCOLS)


def _env_causes(variable: Object, path: str) -> Iterator[Cause]:
    name = variable.get("name", "")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from (invalid(f"{path}.name", name, text) for text in ENVIRONMENT.problems(name))
    source = variable.get("valueFrom")
    if source and variable.get("value"):
        yield invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    field_path = ((source or {}).get("fieldRef") or {}).get("fieldPath")
    if field_path and not _is_field_path(field_path):
        field = f"{path}.valueFrom.fieldRef.fieldPath"
        yield invalid(field, field_path, f"error converting fieldPath: field label not supported: {field_path}")


def _is_field_path(path: str) -> bool:
    return path in FIELD_PATHS or path.startswith(("metadata.labels['", "metadata.annotations['"))


def _resource_causes(resources: Object, path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for group, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            number = quantity(amount)
            if number is None:
                yield invalid(f"{path}.{group}[{name}]", str(amount), WHAT_IT_IS)
            elif number < 0:
                yield invalid(f"{path}.{group}[{name}]", str(amount), "must be greater than or equal to 0")
    for name, amount in requests.items():
        asked, limit = quantity(amount), quantity(limits.get(name))
        if asked is not None and limit is not None and asked > limit:
            why = f"must be less than or equal to {name} limit"
            yield invalid(f"{path}.requests", str(amount), why)
