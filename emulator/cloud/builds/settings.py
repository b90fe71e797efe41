"""The file that says how builds run: the cluster, the registry, and who may ask. Pure but for reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml


class InvalidBuildSettings(ValueError):
    """The file cannot be used; the text says why, without showing a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """*token* is what callers send; *cluster_url*, *cluster_token* and *namespace* are where steps become pods.

    *folder* holds what the steps of a build share; the node must allow it as hostPath. *registry* (host:port) takes the
    images that builds name, from *registry_login* (user:password). *pod* is what every pod of a step has beside its
    step: volumes, and of the container env, volumeMounts and resources. Of *buckets* every one exists; an empty list
    means that any bucket does. *concurrent* builds run at a time, and *most_open* may wait or run.
    """

    project: str
    token: str = field(repr=False)
    cluster_url: str
    cluster_token: str = field(repr=False)
    namespace: str
    folder: Path
    registry: str
    registry_login: str = field(repr=False)
    pod: Mapping[str, Any] = field(default_factory=dict)
    buckets: Sequence[str] = ()
    project_number: str = "100000000001"
    concurrent: int = 10
    most_open: int = 500
    keep: int = 1000


def read(path: Path) -> BuildSettings:
    """Read the YAML file. Raises InvalidBuildSettings."""
    try:
        return parse(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidBuildSettings(f"{path}: {error}") from error


def parse(document: Any) -> BuildSettings:
    """Read an object of the settings. Raises InvalidBuildSettings."""
    known = {each.name: each for each in fields(BuildSettings)}
    if not isinstance(document, Mapping) or not document.keys() <= known.keys():
        raise InvalidBuildSettings(f"expected an object of {', '.join(known)}")
    for name in ("token", "cluster_token"):
        # An empty secret would let in whoever sends none.
        if not isinstance(document.get(name), str) or len(document[name]) < 8:
            raise InvalidBuildSettings(f"{name}: expected text of at least 8 characters")
    try:
        return BuildSettings(**{**document, "folder": Path(document["folder"])})
    except (TypeError, KeyError) as error:
        raise InvalidBuildSettings(str(error)) from error
