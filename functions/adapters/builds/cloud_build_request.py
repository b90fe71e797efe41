"""A build as Cloud Build is asked for it: the template cloud_build.yaml, filled in. Pure but for reading the template.

https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#Build
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from functions.adapters.builds.job import repo2docker_argv
from functions.core.ports import BuildRequest

TEMPLATE = Path(__file__).with_name("cloud_build.yaml")
OURS = "binderless"
INLINE_CACHE = "--DockerEngine.extra_buildx_build_args=--build-arg=BUILDKIT_INLINE_CACHE=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """How builds run. *image* holds repo2docker; *service_account* is `projects/<project>/serviceAccounts/<email>`;
    *log_bucket* has no `gs://`. *private_pool* (`projects/<p>/locations/<l>/workerPools/<name>`) knows its machines
    itself, so *machine_type* counts without one only."""

    image: str
    service_account: str
    log_bucket: str
    timeout_s: int = 3600
    queue_ttl_s: int = 3600
    machine_type: str = ""
    private_pool: str = ""
    extra_args: Sequence[str] = ()


def build_tag(name: str) -> str:
    """The tag that finds the build of a request, by its name. Hashed: tags have their own alphabet, and a limit."""
    return f"build-{_hash(name)}"


def repository_tag(image: str) -> str:
    """The tag that all builds of one repository have: of its images' name without the tag."""
    return f"images-{_hash(image.rpartition(':')[0])}"


def build_document(request: BuildRequest, order: BuildOrder, *, last_image: str = "") -> dict[str, Any]:
    """The Build, in the JSON form of the API. Layers of *last_image* are used again where they fit."""
    document: dict[str, Any] = _filled(_template(), _values(request, order))
    cache_from = [f"--cache-from={last_image}"] if last_image else []
    argv = repo2docker_argv(request, [INLINE_CACHE, *cache_from, *order.extra_args], pushes=False)
    document["steps"][0]["args"] = [literally(word) for word in argv]
    document |= {"timeout": f"{order.timeout_s}s", "queueTtl": f"{order.queue_ttl_s}s"}
    document["tags"] = [*document["tags"], build_tag(request.name), repository_tag(request.image)]
    if order.private_pool:
        document["options"]["pool"] = {"name": literally(order.private_pool)}
    elif order.machine_type:
        document["options"]["machineType"] = order.machine_type
    return document


def literally(word: str) -> str:
    """*word* so that Cloud Build takes it as it is: it replaces `$NAME` and `${NAME}`, and `$$` by `$`.

    https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
    """
    return word.replace("$", "$$")


def _values(request: BuildRequest, order: BuildOrder) -> Mapping[str, str]:
    values = {
        "_BUILDER": order.image,
        "_IMAGE": request.image,
        "_REPO_URL": request.repo_url,
        "_REF": request.ref,
        "_SERVICE_ACCOUNT": order.service_account,
        "_LOG_BUCKET": order.log_bucket,
    }
    return {f"${{{name}}}": literally(value) for name, value in values.items()}


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    """*node* with every variable replaced; no value is looked at again."""
    if isinstance(node, dict):
        return {name: _filled(value, values) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, values) for value in node]
    for name, value in values.items():
        if isinstance(node, str) and name in node:
            before, _, after = node.partition(name)
            return f"{before}{value}{after}"
    return node


@cache
def _template() -> Any:
    return yaml.safe_load(TEMPLATE.read_text())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
