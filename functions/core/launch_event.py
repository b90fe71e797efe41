"""The launch event: what a hub tells of each launch, for archives of what is launched where.

BinderHub's schema `binderhub.jupyter.org/launch`, version 6 (binderhub/event-schemas/launch.json). BinderHub tells of
successes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.core.launch import Launch, Phase

SCHEMA, VERSION = "binderhub.jupyter.org/launch", 6

PROVIDER_NAMES: Mapping[str, str] = {
    "gh": "GitHub",
    "gist": "Gist",
    "git": "Git",
    "gl": "GitLab",
    "zenodo": "Zenodo",
    "figshare": "Figshare",
    "hydroshare": "Hydroshare",
    "dataverse": "Dataverse",
    "ckan": "CKAN",
}


def launch_event(launch: Launch) -> dict[str, Any]:
    """The event of *launch*, which is ready or has failed.

    `origin` is the hub's own host, `request_origin` the site that asked; the names are older than their meaning.
    """
    return {
        "timestamp": datetime.fromtimestamp(launch.ended_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "schema": SCHEMA,
        "version": VERSION,
        "provider": PROVIDER_NAMES.get(launch.provider, launch.provider),
        "spec": launch.repo.spec,
        "ref": launch.repo.sha,
        "status": "success" if launch.phase is Phase.READY else "failure",
        "build_token": launch.build_token,
        "origin": launch.origin,
        "request_origin": launch.request_origin,
    }
