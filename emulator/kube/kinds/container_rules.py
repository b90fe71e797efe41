"""The rules for the containers of a pod."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from emulator.kube.errors import Cause, duplicate, forbidden_field, invalid, not_found_field, required, unsupported
from emulator.kube.names import ENVIRONMENT, LABEL
from emulator.kube.objects import Object
from emulator.kube.quantities import quantity

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
SCHEMES = ("HTTP", "HTTPS")
PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")

# The paths that the downward API knows, but for single labels and annotations.
FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip


def one_of(field: str, value: str, supported: tuple[str, ...]) -> Iterator[Cause]:
    """Yield the cause of a value that is none of those supported."""
    if value not in supported:
        yield unsupported(field, value, supported)


def name_causes(name: str, field: str, seen: set[str]) -> Iterator[Cause]:
    """Yield what is wrong with a name that must be unique; *seen* are those before it."""
    if not name:
        yield required(field)
        return
    yield from (invalid(field, name, text) for text in LABEL.problems(name))
    if name in seen:
        yield duplicate(field, name)
    seen.add(name)


def container_causes(container: Object, path: str, seen: set[str], volumes: AbstractSet[str]) -> Iterator[Cause]:
    """Yield what is wrong with a container; *seen* are the names before it, *volumes* those of the pod."""
    yield from name_causes(container.get("name", ""), f"{path}.name", seen)
    image = container.get("image", "")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    if "restartPolicy" in container:
        yield _restart_cause(container["restartPolicy"], path)
    yield from _port_causes(container.get("ports") or [], f"{path}.ports")
    for index, variable in enumerate(container.get("env") or []):
        yield from _env_causes(variable, f"{path}.env[{index}]")
    yield from one_of(f"{path}.imagePullPolicy", container["imagePullPolicy"], PULL_POLICIES)
    yield from _resource_causes(container["resources"], f"{path}.resources")
    yield from _mount_causes(container.get("volumeMounts") or [], f"{path}.volumeMounts", volumes)
    for kind in PROBES:
        if kind in container:
            yield from _probe_causes(container[kind], f"{path}.{kind}", kind)


def _restart_cause(policy: str, path: str) -> Cause:
    """What is wrong with a policy of one container's own: it makes a sidecar, which no kubelet here runs."""
    field = f"{path}.restartPolicy"
    if ".initContainers[" not in path:
        return forbidden_field(field, "may not be set for non-init containers")
    if policy != "Always":
        return unsupported(field, policy, ("Always",))
    return forbidden_field(field, "sidecar containers are not supported by this cluster")


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
        yield from one_of(f"{field}.protocol", port["protocol"], PROTOCOLS)


def _env_causes(variable: Object, path: str) -> Iterator[Cause]:
    name = variable.get("name", "")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from (invalid(f"{path}.name", name, text) for text in ENVIRONMENT.problems(name))
    if (source := variable.get("valueFrom")) is not None:
        yield from _source_causes(source, f"{path}.valueFrom", has_value=bool(variable.get("value")))


def _source_causes(source: Object, path: str, *, has_value: bool) -> Iterator[Cause]:
    if not source:
        listed = ", ".join(f"`{name}`" for name in ENV_SOURCES[:-1]) + f" or `{ENV_SOURCES[-1]}`"
        yield invalid(path, "", f"must specify one of: {listed}")
    elif has_value:
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(source) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")
    field_path = (source.get("fieldRef") or {}).get("fieldPath")
    if "fieldRef" in source and not field_path:
        yield required(f"{path}.fieldRef.fieldPath")
    elif field_path and not _is_field_path(field_path):
        field = f"{path}.fieldRef.fieldPath"
        yield invalid(field, field_path, f"error converting fieldPath: field label not supported: {field_path}")
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source and not (source[kind] or {}).get("key"):
            yield required(f"{path}.{kind}.key")


def _is_field_path(path: str) -> bool:
    return path in FIELD_PATHS or path.startswith(("metadata.labels['", "metadata.annotations['"))


def _resource_causes(resources: Object, path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for group, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            number = quantity(amount)
            if number is not None and number < 0:
                yield invalid(f"{path}.{group}[{name}]", str(amount), "must be greater than or equal to 0")
    for name, amount in requests.items():
        asked, limit = quantity(amount), quantity(limits.get(name))
        if asked is not None and limit is not None and asked > limit:
            why = f"must be less than or equal to {name} limit"
            yield invalid(f"{path}.requests", str(amount), why)


def _mount_causes(mounts: list[Object], path: str, volumes: AbstractSet[str]) -> Iterator[Cause]:
    """Yield what is wrong with a container; *seen* are the names before it, *volumes* those of the pod."""
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        field, name, place = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{field}.name")
        elif name not in volumes:
            yield not_found_field(f"{field}.name", name)
        if not place:
            yield required(f"{field}.mountPath")
        elif place in places:
            yield invalid(f"{field}.mountPath", place, "must be unique")
        places.add(place)
        sub_path = mount.get("subPath", "")
        if sub_path.startswith("/"):
            yield invalid(f"{field}.subPath", sub_path, "must be a relative path")
        elif ".." in sub_path.split("/"):
            yield invalid(f"{field}.subPath", sub_path, "must not contain '..'")


def _probe_causes(probe: Object, path: str, kind: str) -> Iterator[Cause]:
    handlers = [name for name in HANDLERS if name in probe]
    for name in handlers[1:]:
        yield forbidden_field(f"{path}.{name}", "may not specify more than 1 handler type")
    if not handlers:
        yield required(path, "must specify a handler type")
    if "grpc" in probe:
        yield forbidden_field(f"{path}.grpc", "gRPC probes are not supported by this cluster")
    for name in handlers[:1]:
        yield from _handler_causes(probe[name], f"{path}.{name}", name)
    for name in PROBE_NUMBERS:
        if probe.get(name, 0) < 0:
            yield invalid(f"{path}.{name}", probe[name], "must be greater than or equal to 0")
    yield from _grace_causes(probe.get("terminationGracePeriodSeconds"), f"{path}.terminationGracePeriodSeconds", kind)
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _grace_causes(grace_s: int | None, field: str, kind: str) -> Iterator[Cause]:
    if grace_s is None:
        return
    if kind == "readinessProbe":
        yield invalid(field, grace_s, "must not be set for readinessProbes")
    elif grace_s <= 0:
        yield invalid(field, grace_s, "must be greater than 0")


def _handler_causes(handler: Object, path: str, kind: str) -> Iterator[Cause]:
    if kind == "exec":
        if not handler.get("command"):
            yield required(f"{path}.command")
        return
    port = handler.get("port", 0)
    if isinstance(port, int) and not 1 <= port <= 65535:
        yield invalid(f"{path}.port", port, "must be between 1 and 65535, inclusive")
    if kind == "httpGet" and handler.get("scheme", "HTTP") not in SCHEMES:
        yield unsupported(f"{path}.scheme", handler["scheme"], SCHEMES)
