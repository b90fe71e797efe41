"""The two images that every cluster has: the builder, which runs repo2docker, and a shell for `kubectl run`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from emulator.images.client import RegistryClient
from emulator.images.layer import home_layer
from emulator.images.manifest import HOST_PATHS_LABEL, RUNTIME, RUNTIME_LABEL, Config
from emulator.images.push import push
from emulator.images.reference import Reference

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


def _push(client: RegistryClient, repository: str, config: Config) -> str:
    reference = Reference(client.registry, repository, "latest")
    push(client, reference, config, [home_layer([])])
    return str(reference)
