"""A build as a Kubernetes Job: what to run, as a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.core.ports import BuildRequest

COMPONENT = "binderless-build"
CONTAINER = "repo2docker"
IMAGE_ANNOTATION = "binderless.image"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """How builds run: the image that holds repo2docker, limits, and what the operator adds.

    *template* is a part of a pod template (`{"spec": {"nodeSelector": ...}}`). It may add containers, and change
    ours, which is called repo2docker; it does not change what that one is asked to build.
    """

    image: str
    timeout_s: int = 3600
    # A watcher that was away for a night still learns of what ended meanwhile.
    keep_s: int = 12 * 3600
    extra_args: Sequence[str] = ()
    template: Mapping[str, Any] = field(default_factory=dict)


def repo2docker_argv(request: BuildRequest, extra_args: Sequence[str] = (), *, pushes: bool = True) -> list[str]:
    """The command that builds the image of *request*, and pushes it unless somebody else does.

    The repository is a stranger's: nothing in its URL becomes an option (`--`), and repo2docker is kept from
    running a configuration file that it would find in its working directory.
    """
    return [
        "jupyter-repo2docker",
        "--config=/nonexistent/repo2docker_config.py",
        "--json-logs",
        "--no-run",
        "--no-clean",
        *(["--push"] if pushes else []),
        "--user-name=jovyan",
        "--user-id=1000",
        f"--image-name={request.image}",
        f"--ref={request.ref}",
        *([f"--appendix={request.appendix}"] if request.appendix else []),
        *extra_args,
        "--",
        request.repo_url,
    ]


def job_manifest(request: BuildRequest, settings: JobSettings) -> dict[str, Any]:
    """The Job that builds *request*: one pod, one attempt, removed some time after its end."""
    labels = {"component": COMPONENT, "binderless.build": request.name}
    annotations = {
        IMAGE_ANNOTATION: request.image,
        "binderless.repo": request.repo_url,
        "binderless.ref": request.ref,
    }
    metadata = {"labels": labels, "annotations": annotations}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": request.name, **metadata},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": settings.timeout_s,
            "ttlSecondsAfterFinished": settings.keep_s,
            "template": _pod_template(request, settings, metadata),
        },
    }


def _pod_template(request: BuildRequest, settings: JobSettings, metadata: Mapping[str, Any]) -> dict[str, Any]:
    container = {
        "name": CONTAINER,
        "image": settings.image,
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }
    defaults = {"spec": {"automountServiceAccountToken": False, "containers": [container]}}
    argv = [_literally(word) for word in repo2docker_argv(request, settings.extra_args)]
    fixed = {
        "metadata": metadata,
        "spec": {"restartPolicy": "Never", "containers": [{"name": CONTAINER, "args": argv}]},
    }
    return merged(merged(defaults, settings.template), fixed)


def merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """*base* changed by *patch*: mappings key by key, lists of named things name by name, the rest replaced."""
    return {**base, **{key: _merged_value(base.get(key), value) for key, value in patch.items()}}


def _merged_value(base: Any, patch: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        return merged(base, patch)
    if _are_named(base) and _are_named(patch):
        by_name = {item["name"]: item for item in base}
        for item in patch:
            by_name[item["name"]] = merged(by_name.get(item["name"], {}), item)
        return list(by_name.values())
    return patch


def _are_named(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(item, Mapping) and "name" in item for item in value)


def _literally(word: str) -> str:
    # Kubernetes replaces $(NAME) in args by the container's environment, and $$ by $.
    # https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#entrypoint
    return word.replace("$", "$$")
