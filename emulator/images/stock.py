"""Images without an environment: the builder, which runs repo2docker, a shell for `kubectl run`, and one's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from emulator.images.client import RegistryClient
from emulator.images.layer import home_layer
from emulator.images.manifest import HOST_PATHS_LABEL, RUNTIME, RUNTIME_LABEL, Config
from emulator.images.push import push
from emulator.images.reference import Reference
from emulator.images.tree import Entry

BUILDER = "binderless/repo2docker"
SHELL = "binderless/shell"
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def push_builder(client: RegistryClient, *, path: str, host_paths: Sequence[str]) -> str:
    """Push the builder image: *path* is where its commands are, *host_paths* must stay visible to its pods."""
    labels = {RUNTIME_LABEL: RUNTIME, HOST_PATHS_LABEL: os.pathsep.join(host_paths)}
    env = {"PATH": f"{path}:{_SYSTEM_PATH}", "HOME": "/home/jovyan", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    return _push(client, BUILDER, Config(env=env, labels=labels))


def push_shell(client: RegistryClient) -> str:
    """Push the shell image."""
    env = {"PATH": "/usr/bin:/bin", "HOME": "/home/jovyan", "LANG": "C.UTF-8"}
    return _push(client, SHELL, Config(env=env, labels={RUNTIME_LABEL: RUNTIME}, command=("/bin/sh",)))


def push_own(
    client: RegistryClient,
    reference: Reference,
    *,
    files: Sequence[Entry],
    env: Mapping[str, str],
    command: Sequence[str],
    host_paths: Sequence[str],
) -> str:
    """Push an image that runs *command* of this machine. *files* are in its home; *host_paths* stay visible to it."""
    labels = {RUNTIME_LABEL: RUNTIME, HOST_PATHS_LABEL: os.pathsep.join(host_paths)}
    base = {"PATH": _SYSTEM_PATH, "HOME": "/home/jovyan", "LANG": "C.UTF-8"}
    push(client, reference, Config(env={**base, **env}, labels=labels, command=command), [home_layer(files)])
    return str(reference)


def _push(client: RegistryClient, repository: str, config: Config) -> str:
    reference = Reference(client.registry, repository, "latest")
    push(client, reference, config, [home_layer([])])
    return str(reference)
