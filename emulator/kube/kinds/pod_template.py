"""The spec of a pod, alone or as a job's template: its defaults and its rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emulator.kube.errors import Cause, forbidden_field, invalid, required
from emulator.kube.kinds.container_rules import container_causes, name_causes, one_of
from emulator.kube.names import LABEL, SUBDOMAIN, label_causes
from emulator.kube.objects import Object, all_containers

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
BIGGEST_INT32 = 2**31 - 1


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
    volumes = {str(volume.get("name", "")) for volume in spec.get("volumes") or []}
    seen: set[str] = set()
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or []):
            yield from container_causes(container, f"{path}.{group}[{index}]", seen, volumes)
    yield from one_of(f"{path}.restartPolicy", spec["restartPolicy"], RESTART_POLICIES)
    yield from one_of(f"{path}.dnsPolicy", spec["dnsPolicy"], DNS_POLICIES)
    deadline = spec.get("activeDeadlineSeconds", 1)
    if not 1 <= deadline <= BIGGEST_INT32:
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {BIGGEST_INT32}, inclusive")
    for field, rule in (("nodeName", SUBDOMAIN), ("serviceAccountName", SUBDOMAIN), ("hostname", LABEL)):
        if name := spec.get(field):
            yield from (invalid(f"{path}.{field}", name, text) for text in rule.problems(name))
    for index, toleration in enumerate(spec.get("tolerations") or []):
        yield from _toleration_causes(toleration, f"{path}.tolerations[{index}]")
    yield from label_causes(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")


def _toleration_causes(toleration: Object, path: str) -> Iterator[Cause]:
    operator = toleration.get("operator", "")
    yield from one_of(f"{path}.operator", operator or "Equal", ("Equal", "Exists"))
    if not toleration.get("key") and operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{path}.operator", operator, why)
    if operator == "Exists" and toleration.get("value"):
        yield invalid(f"{path}.operator", toleration, "value must be empty when `operator` is 'Exists'")
    if toleration.get("effect"):
        yield from one_of(f"{path}.effect", toleration["effect"], ("NoSchedule", "PreferNoSchedule", "NoExecute"))


def _volume_causes(volumes: list[Object], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        yield from name_causes(volume.get("name", ""), f"{path}[{index}].name", seen)
        for source in [key for key in volume if key != "name"][1:]:
            yield forbidden_field(f"{path}[{index}].{source}", "may not specify more than 1 volume type")
