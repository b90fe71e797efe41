"""A step as a pod, and what a pod tells about its step. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.cloud.builds.cluster import BUILD_LABEL, Pod
from emulator.cloud.builds.messages import Build

WORKSPACE = "/workspace"
CONTAINER = "step"
COMPONENT = "cloud-build"
# Where the steps of a build put images, as into the docker daemon that all steps of a real build share.
IMAGE_STORE_VARIABLE = "BINDERLESS_IMAGE_STORE"

# The pod did not end by itself: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
_INTERRUPTED = ("Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "ContainerStatusUnknown", "Preempting")
_CANNOT_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CANNOT_START = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended: its exit code, or *problem*, which is the builder's fault if *ours*."""

    exit_code: int = 0
    problem: str = ""
    ours: bool = False


def pod_name(build_id: str, number: int) -> str:
    return f"build-{build_id}-{number}"


def images_folder(folder: Path, build_id: str) -> Path:
    """Where the images of a build lie until they are pushed."""
    return folder / build_id / "images"


def manifest(build: Build, number: int, *, folder: Path, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The pod of step *number*: the workspace and the images are shared by all steps, *extra* is the operator's."""
    step = build["steps"][number]
    images = str(images_folder(folder, build["id"]))
    env = [*build.get("options", {}).get("env", ()), *step.get("env", ())]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": step["name"],
        "workingDir": posixpath.normpath(posixpath.join(WORKSPACE, step.get("dir", ""))),
        "env": [
            *extra.get("env", ()),
            {"name": IMAGE_STORE_VARIABLE, "value": images},
            *({"name": name, "value": _literally(value)} for name, _, value in (each.partition("=") for each in env)),
        ],
        "volumeMounts": [
            *extra.get("volumeMounts", ()),
            {"name": "workspace", "mountPath": WORKSPACE},
            {"name": "images", "mountPath": images},
        ],
        "resources": extra.get("resources", {}),
    }
    if step.get("args"):
        container["args"] = [_literally(arg) for arg in step["args"]]
    if step.get("entrypoint"):
        container["command"] = [_literally(step["entrypoint"])]
    volumes = [
        *extra.get("volumes", ()),
        _shared("workspace", str(folder / build["id"] / "workspace")),
        _shared("images", images),
    ]
    return _pod(build["id"], number, {"containers": [container], "volumes": volumes})


def _pod(build_id: str, number: int, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(build_id, number),
            "labels": {"component": COMPONENT, BUILD_LABEL: build_id},
            "annotations": {"cloud-build.step": str(number)},
        },
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, **spec},
    }


def _shared(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}


def _literally(word: str) -> str:
    # Kubernetes replaces $(NAME) in args, and $$ by $.
    return word.replace("$", "$$")


def started(pod: Pod) -> bool:
    """Whether the step runs, or has run."""
    return any(each.get("state", {}).keys() & {"running", "terminated"} for each in _containers(pod))


def end_of(pod: Pod) -> StepEnd | None:
    """How the step ended; None while it runs, or may still begin."""
    status = pod.get("status", {})
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting") or {}
        why = f"{waiting.get('reason', '')}: {waiting.get('message', '')}".strip(": ")
        if waiting.get("reason") in _CANNOT_PULL:
            return StepEnd(problem=f'error pulling build step image "{container.get("image", "")}": {why}')
        if waiting.get("reason") in _CANNOT_START:
            return StepEnd(problem=f"failed to start step: {why}", ours=True)
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    ended = _terminated(pod)
    reason = status.get("reason") or ended.get("reason", "")
    if reason in _INTERRUPTED or ended.get("reason") in _INTERRUPTED or not ended:
        return StepEnd(problem=f"the worker of the build was lost: {reason or 'its pod did not run'}", ours=True)
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return StepEnd(exit_code=127, problem=f"failed to start step: {ended.get('message', '')}")
    return StepEnd(exit_code=int(ended["exitCode"]))


def _terminated(pod: Pod) -> Mapping[str, Any]:
    return next((each["state"]["terminated"] for each in _containers(pod) if "terminated" in each["state"]), {})


def _containers(pod: Pod) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = pod.get("status", {}).get("containerStatuses") or ()
    return found
