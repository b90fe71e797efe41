"""The log of a pod: checked here, read from the kubelet of its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.kube.cluster import Cluster
from emulator.kube.errors import Cause, bad_request, forbidden_field, internal_error, invalid, invalid_log_options
from emulator.kube.kinds import NODES, PODS
from emulator.kube.kinds.nodes import address
from emulator.kube.objects import Object, all_containers, dig, name_of
from emulator.kube.reads import number, truth
from emulator.kube.store import Key

FLAGS = ("follow", "timestamps", "previous")
WHY_WAITING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where a log is read: an address of a kubelet with the options of the request."""

    url: str
    parameters: dict[str, str]


def source_of(cluster: Cluster, namespace: str, name: str, query: Mapping[str, str]) -> LogSource | None:
    """Return where the log of a container is; None for a pod without a node, whose log is empty."""
    pod = cluster.existing(PODS, namespace, name)
    parameters = _parameters(name, query)
    container = container_of(pod, query.get("container", ""))
    node_name = dig(pod, "spec", "nodeName")
    if not node_name:
        return None
    _check_started(pod, container, previous="previous" in parameters)
    url = f"{kubelet_url(cluster, node_name)}/containerLogs/{namespace}/{name}/{container}"
    return LogSource(url, parameters)


def kubelet_url(cluster: Cluster, node_name: str) -> str:
    """Return where the kubelet of a node listens."""
    node = cluster.store.get(Key(NODES.id, "", node_name))
    host = node and (address(node, "InternalIP") or address(node, "Hostname"))
    port = node and dig(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port")
    if not host or not port:
        raise internal_error(f'no kubelet is known for node "{node_name}"')
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}"


def _parameters(pod: str, query: Mapping[str, str]) -> dict[str, str]:
    """Return the options for the kubelet; what makes no sense is refused."""
    causes: list[Cause] = []
    numbers = {}
    for field, least in (("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1)):
        if field not in query:
            continue
        value = numbers[field] = number(query, field)
        if value < least:
            bound = "greater than 0" if least else "greater than or equal to 0"
            causes.append(invalid(field, value, f"must be {bound}"))
    since = {"sinceTime": query["sinceTime"]} if query.get("sinceTime") else {}
    if since and "sinceSeconds" in numbers:
        causes.append(forbidden_field("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if causes:
        raise invalid_log_options(pod, causes)
    flags = {flag: "true" for flag in FLAGS if truth(query.get(flag))}
    return {field: str(value) for field, value in numbers.items()} | since | flags


def container_of(pod: Object, name: str) -> str:
    """Return the container that a request means: the one it names, or the only one that is not initial."""
    names = [str(container["name"]) for container in all_containers(pod["spec"])]
    if name:
        if name not in names:
            raise bad_request(f"container {name} is not valid for pod {name_of(pod)}")
        return name
    if len(pod["spec"]["containers"]) > 1:
        listed = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {name_of(pod)}, choose one of: [{listed}]")
    return str(pod["spec"]["containers"][0]["name"])


def _check_started(pod: Object, container: str, *, previous: bool) -> None:
    statuses = [*(_list(pod, "initContainerStatuses")), *(_list(pod, "containerStatuses"))]
    status = next((status for status in statuses if status.get("name") == container), {})
    state, last = status.get("state") or {}, status.get("lastState") or {}
    where = f'container "{container}" in pod "{name_of(pod)}"'
    if previous and not last.get("terminated"):
        raise bad_request(f"previous terminated {where} not found")
    if "running" in state or "terminated" in state or "terminated" in last:
        return
    reason = str(dig(state, "waiting", "reason") or "ContainerCreating")
    raise bad_request(f"{where} is waiting to start: {WHY_WAITING.get(reason, reason)}")


def _list(pod: Object, field: str) -> list[Object]:
    return dig(pod, "status", field) or []
