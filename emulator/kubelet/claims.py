"""Volumes that outlive pods: the folder behind a claim, and the end of folders whose volume is gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.kubelet.api import Api, ApiError
from emulator.kubelet.layout import Layout, remove_tree
from emulator.kubelet.volumes import VolumeError

DRIVER = "binderless.local/folder"
_NAME = re.compile(r"pvc-[0-9a-f-]{36}")


async def resolve_claim(api: Api, namespace: str, volume: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is behind a volume that is a claim, as a volume: a folder of ours (`csi`), or one of the machine.

    Raises VolumeError."""
    asked = volume["persistentVolumeClaim"]
    try:
        claim = await api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{asked['claimName']}")
        name = claim["spec"].get("volumeName")
        if not name or claim["status"].get("phase") != "Bound":
            raise VolumeError(f'persistentvolumeclaim "{asked["claimName"]}" is not bound')
        spec = (await api.get(f"/api/v1/persistentvolumes/{name}"))["spec"]
    except ApiError as error:
        raise VolumeError(str(error)) from error
    found = {"name": volume["name"], "readOnly": bool(asked.get("readOnly"))}
    if "hostPath" in spec:
        return found | {"hostPath": spec["hostPath"]}
    handle = (spec.get("csi") or {}).get("volumeHandle", "")
    # The name becomes a path.
    if (spec.get("csi") or {}).get("driver") != DRIVER or not _NAME.fullmatch(handle):
        raise VolumeError(f"volume {name} is of a kind that this node cannot mount")
    return found | {"csi": {"volumeHandle": handle}}


def folder_of(layout: Layout, volume: Mapping[str, Any], otherwise: Path) -> Path:
    """Return where a volume is kept: with its pod, or, when it outlives pods, beside all of them."""
    handle = (volume.get("csi") or {}).get("volumeHandle")
    return layout.claims / str(handle) if handle else otherwise


async def forget_claims(api: Api, layout: Layout) -> None:
    """Remove the folders of volumes that are no more."""
    kept = [folder for folder in layout.claims.iterdir() if _NAME.fullmatch(folder.name)]
    if not kept:
        return
    try:
        known = {each["metadata"]["name"] for each in (await api.get("/api/v1/persistentvolumes"))["items"]}
    except ApiError:
        # The next pod that ends looks again.
        return
    for folder in kept:
        if folder.name not in known:
            await asyncio.to_thread(remove_tree, folder)
