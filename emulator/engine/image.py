"""How the image of a repository is started: repo2docker's environment and labels, as far as they apply here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from emulator.engine.environment import ENTRYPOINT
from emulator.engine.interpreter import Interpreter
from emulator.engine.repository import Repository
from emulator.images import Config
from emulator.images.manifest import HOST_PATHS_LABEL, RUNTIME, RUNTIME_LABEL

HOME = "/home/jovyan"
USER = "jovyan"


def config_of(
    repository: Repository, *, environment: Path, python: Interpreter, user_id: str, labels: dict[str, str]
) -> Config:
    """The image's configuration; *environment* is where the kubelet will have restored the environment."""
    env = {
        "PATH": f"{HOME}/.local/bin:{environment}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME,
        "USER": USER,
        "NB_USER": USER,
        "NB_UID": user_id,
        "REPO_DIR": HOME,
        "NB_PYTHON_PREFIX": str(environment),
        "KERNEL_PYTHON_PREFIX": str(environment),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "SHELL": "/bin/bash",
        "PYTHONUNBUFFERED": "1",
    }
    if repository.start:
        env["R2D_ENTRYPOINT"] = f"{HOME}/{repository.start}"
    return Config(
        env=env,
        labels=labels | {RUNTIME_LABEL: RUNTIME, HOST_PATHS_LABEL: str(python.prefix)},
        entrypoint=(str(environment / ENTRYPOINT),),
        command=("jupyter", "notebook", "--ip", "0.0.0.0"),
        working_dir=HOME,
    )


def labels_of(app: Any) -> dict[str, str]:
    """The labels that repo2docker gives its images."""
    return {
        "repo2docker.version": str(app.version),
        "repo2docker.repo": "local" if os.path.isdir(app.repo) else str(app.repo),
        "repo2docker.ref": str(app.ref),
        **{str(name): str(value) for name, value in app.labels.items()},
    }
