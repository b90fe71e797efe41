"""From what the kubelet knows of a pod to the status that the API server shows. Pure.

Phases and conditions as Kubernetes' kubelet derives them:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from emulator.kubelet.states import ContainerRecord, PodRecord, Running, State, Terminated, Waiting

Manifest = Mapping[str, Any]

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
# In a strategic merge patch: the list becomes what the patch has, and is not merged.
REPLACE = {"$patch": "replace"}
LIVE = ("Pending", "Running")
NOT_READY = "ContainersNotReady"
GATES_NOT_READY = "ReadinessGatesNotReady"
COMPLETED = "PodCompleted"


def pod_status(pod: Manifest, record: PodRecord, *, now: datetime) -> dict[str, Any]:
    """Return the status of *pod*; conditions that are not the kubelet's stay, unchanged ones keep their time."""
    phase = pod_phase(pod["spec"].get("restartPolicy", "Always"), record)
    before = pod.get("status") or {}
    status: dict[str, Any] = {
        "phase": phase,
        "conditions": _conditions(phase, record, pod, now=now),
        "hostIP": record.host_ip,
        "hostIPs": [{"ip": record.host_ip}],
        "startTime": timestamp(record.started_at),
        "containerStatuses": [_container_status(each) for each in sorted(record.containers, key=lambda c: c.name)],
        "qosClass": before.get("qosClass") or qos_class(pod["spec"]),
    }
    if record.pod_ip:
        status |= {"podIP": record.pod_ip, "podIPs": [{"ip": record.pod_ip}]}
    if record.init:
        status["initContainerStatuses"] = [_init_status(each) for each in record.init]
    if record.failure:
        status |= {"reason": record.failure[0], "message": record.failure[1]}
    return status


def status_patch(status: Manifest) -> dict[str, Any]:
    """The strategic merge patch that makes *status* that of a pod, but for the conditions that are not the kubelet's.

    What such a patch merges loses nothing that it does not name: so it names what a condition does not say any more.
    """
    unsaid = {"reason": None, "message": None}
    ours = [unsaid | dict(each) for each in status["conditions"] if each["type"] in OWN_CONDITIONS]
    addresses = {"podIPs": [*status["podIPs"], REPLACE]} if "podIPs" in status else {}
    return {**status, "conditions": ours, **addresses}


def pod_phase(restart_policy: str, record: PodRecord) -> str:
    """Pending, Running, Succeeded or Failed."""
    if record.failure and not any(each.running for each in (*record.init, *record.containers)):
        return "Failed"
    final = record.ending or restart_policy == "Never"
    if not all(_initialized(each) for each in record.init):
        gave_up = final and any(_failed(each) for each in record.init)
        return "Failed" if gave_up else "Pending"
    if any(isinstance(each.state, Waiting) and each.last is None for each in record.containers):
        return "Failed" if record.ending else "Pending"
    # With a policy of Never, one waits that is run again for another image.
    if any(each.running or (isinstance(each.state, Waiting) and not record.ending) for each in record.containers):
        return "Running"
    if restart_policy == "Always" and not record.ending:
        return "Running"
    if all(_succeeded(each) for each in record.containers):
        return "Succeeded"
    return "Failed" if final else "Running"


def qos_class(spec: Manifest) -> str:
    """https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/"""
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    resources = [each.get("resources") or {} for each in containers]
    if not any(each.get("requests") or each.get("limits") for each in resources):
        return "BestEffort"
    guaranteed = all(
        (each.get("limits") or {}).get(name)
        and ((each.get("requests") or {}).get(name, each["limits"][name]) == each["limits"][name])
        for each in resources
        for name in ("cpu", "memory")
    )
    return "Guaranteed" if guaranteed else "Burstable"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds, as Kubernetes writes its Time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    return datetime.fromisoformat(text)


def records_of(pod: Manifest, *, now: datetime) -> tuple[tuple[ContainerRecord, ...], tuple[ContainerRecord, ...]]:
    """The init and the other containers of *pod* as its status tells, for a kubelet that meets it again."""
    spec, status = pod["spec"], pod.get("status") or {}
    has_init = bool(spec.get("initContainers"))
    waiting = Waiting("PodInitializing" if has_init else "ContainerCreating")
    known = {
        each["name"]: each for key in ("initContainerStatuses", "containerStatuses") for each in status.get(key) or ()
    }

    def record(container: Manifest) -> ContainerRecord:
        blank = ContainerRecord(name=container["name"], image=container["image"], state=waiting)
        return _remembered(blank, container, known.get(container["name"]), now=now)

    return tuple(map(record, spec.get("initContainers") or ())), tuple(map(record, spec["containers"]))


def _remembered(blank: ContainerRecord, spec: Manifest, status: Manifest | None, *, now: datetime) -> ContainerRecord:
    if status is None:
        return blank
    state, last = status.get("state") or {}, status.get("lastState") or {}
    running = Running(_moment(state["running"].get("startedAt")) or now) if "running" in state else None
    return ContainerRecord(
        name=blank.name,
        image=blank.image,
        state=running or _terminated(state.get("terminated"), now=now) or blank.state,
        last=_terminated(last.get("terminated"), now=now),
        passes_probe="readinessProbe" not in spec or bool(status.get("ready")),
        started="startupProbe" not in spec or bool(status.get("started")),
        restarts=status.get("restartCount", 0),
        container_id=status.get("containerID", ""),
        image_id=status.get("imageID", ""),
    )


def _terminated(value: Manifest | None, *, now: datetime) -> Terminated | None:
    if value is None:
        return None
    return Terminated(
        exit_code=value.get("exitCode", 0),
        reason=value.get("reason", ""),
        message=value.get("message", ""),
        started_at=_moment(value.get("startedAt")),
        finished_at=_moment(value.get("finishedAt")) or now,
        container_id=value.get("containerID", ""),
    )


def _moment(text: str | None) -> datetime | None:
    return parse_timestamp(text) if text else None


def _succeeded(record: ContainerRecord) -> bool:
    return isinstance(record.state, Terminated) and record.state.succeeded


def _failed(record: ContainerRecord) -> bool:
    return isinstance(record.state, Terminated) and not record.state.succeeded


_initialized = _succeeded


def _ready(record: ContainerRecord) -> bool:
    return record.running and record.started and record.passes_probe


def _container_status(record: ContainerRecord) -> dict[str, Any]:
    return _init_status(record) | {"ready": _ready(record), "started": record.running and record.started}


def _init_status(record: ContainerRecord) -> dict[str, Any]:
    status: dict[str, Any] = {
        "name": record.name,
        "state": _state(record.state),
        "lastState": _state(record.last) if record.last else {},
        "ready": _succeeded(record),
        "restartCount": record.restarts,
        "image": record.image,
        "imageID": record.image_id,
    }
    return status | ({"containerID": record.container_id} if record.container_id else {})


# A key that is there with null would be read as a state: KubeSpawner asks for `"terminated" in state`.
def _state(state: State) -> dict[str, Any]:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        case Running(started_at):
            return {"running": {"startedAt": timestamp(started_at)}}
        case Terminated():
            started = timestamp(state.started_at or state.finished_at)
            ended: dict[str, Any] = {"exitCode": state.exit_code, "reason": state.reason}
            ended |= {"message": state.message} if state.message else {}
            ended |= {"startedAt": started, "finishedAt": timestamp(state.finished_at)}
            return {"terminated": ended | ({"containerID": state.container_id} if state.container_id else {})}


def _conditions(phase: str, record: PodRecord, pod: Manifest, *, now: datetime) -> list[dict[str, Any]]:
    before: Sequence[Manifest] = (pod.get("status") or {}).get("conditions") or ()
    old = {each["type"]: each for each in before}
    containers_ready = _containers_ready_condition(phase, record)
    gates = [each["conditionType"] for each in pod["spec"].get("readinessGates") or ()]
    ours = {
        "PodReadyToStartContainers": {"status": "True" if record.pod_ip and phase in LIVE else "False"},
        "Initialized": _initialized_condition(phase, record),
        "Ready": _ready_condition(containers_ready, gates, old),
        "ContainersReady": containers_ready,
    }
    merged = [_condition(kind, value, old.get(kind), now=now) for kind, value in ours.items()]
    return merged + [dict(each) for each in before if each["type"] not in ours]


def _initialized_condition(phase: str, record: PodRecord) -> dict[str, str]:
    incomplete = [each.name for each in record.init if not _initialized(each)]
    if incomplete:
        message = f"containers with incomplete status: [{' '.join(incomplete)}]"
        return {"status": "False", "reason": "ContainersNotInitialized", "message": message}
    return {"status": "True"} | ({"reason": COMPLETED} if phase == "Succeeded" else {})


def _containers_ready_condition(phase: str, record: PodRecord) -> dict[str, str]:
    if phase == "Succeeded":
        return {"status": "False", "reason": COMPLETED}
    unready = [each.name for each in record.containers if not _ready(each)]
    if not unready and phase == "Running":
        return {"status": "True"}
    message = f"containers with unready status: [{' '.join(unready)}]"
    return {"status": "False", "reason": NOT_READY, "message": message}


def _ready_condition(
    containers: dict[str, str], gates: Sequence[str], conditions: Mapping[str, Manifest]
) -> dict[str, str]:
    """https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate"""
    if containers["status"] != "True":
        return containers
    shut = []
    for gate in gates:
        if gate not in conditions:
            shut.append(f'corresponding condition of pod readiness gate "{gate}" does not exist.')
        elif (found := conditions[gate]["status"]) != "True":
            shut.append(f'the status of pod readiness gate "{gate}" is not "True", but {found}')
    return {"status": "False", "reason": GATES_NOT_READY, "message": ", ".join(shut)} if shut else containers


def _condition(kind: str, value: Mapping[str, str], old: Manifest | None, *, now: datetime) -> dict[str, Any]:
    unchanged = old is not None and old["status"] == value["status"]
    since = old["lastTransitionTime"] if unchanged and old and old.get("lastTransitionTime") else timestamp(now)
    return {"type": kind, "lastProbeTime": None, "lastTransitionTime": since, **value}
