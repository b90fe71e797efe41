"""The pods of users' servers, as KubeSpawner makes and labels them.

https://jupyterhub-kubespawner.readthedocs.io/en/latest/spawner.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from functions.adapters.builds.jobs_api import JobsApi
from functions.core.user_pods import UserPod

SELECTOR = "app=jupyterhub,component=singleuser-server"
_USER, _SERVER = "hub.jupyter.org/username", "hub.jupyter.org/servername"


class UserPods:
    """The pods in the namespace of *api*, which must be those of one Hub."""

    def __init__(self, api: JobsApi) -> None:
        self._api = api

    def list(self, after: str = "") -> tuple[Sequence[UserPod], str]:
        pods, rest = self._api.pods_labelled(SELECTOR, after)
        return [_pod(pod["metadata"]) for pod in pods], rest

    def delete(self, pod: UserPod) -> None:
        self._api.delete_pod(pod.name, uid=pod.uid)


def _pod(metadata: Mapping[str, Any]) -> UserPod:
    # The labels hold names that are made safe, and cannot be read back; the annotations hold them as they are.
    annotations = metadata.get("annotations") or {}
    created = metadata.get("creationTimestamp")
    return UserPod(
        name=metadata["name"],
        uid=metadata["uid"],
        user=annotations.get(_USER, ""),
        server_name=annotations.get(_SERVER, ""),
        created_at=datetime.fromisoformat(created) if created else None,
        ending="deletionTimestamp" in metadata,
    )
