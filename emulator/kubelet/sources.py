"""The config maps and secrets that pods refer to, as bytes by key."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any

from emulator.kubelet.api import Api, ApiError
from emulator.kubelet.environment import Source, Sources

log = logging.getLogger(__name__)


async def fetch_sources(api: Api, namespace: str, wanted: Iterable[Source], *, retry_s: float) -> Sources:
    """Ask the API server for *wanted* until it answers; those that are not there are None."""
    return {each: await _data(api, namespace, each, retry_s) for each in dict.fromkeys(wanted)}


async def _data(api: Api, namespace: str, source: Source, retry_s: float) -> Mapping[str, bytes] | None:
    while True:
        try:
            return data_of(await api.get(f"/api/v1/namespaces/{namespace}/{source.kind}/{source.name}"))
        except ApiError as error:
            if error.code == 404:
                return None
            log.warning("%s %s not read: %s", source.kind, source.name, error)
            await asyncio.sleep(retry_s)


def data_of(found: Mapping[str, Any]) -> Mapping[str, bytes]:
    """The data of a config map or a secret. Raises ValueError for what is not base64."""
    data, binary = found.get("data") or {}, found.get("binaryData") or {}
    if found.get("kind") == "Secret":
        return {key: b64decode(value) for key, value in data.items()}
    plain = {key: value.encode(errors="surrogateescape") for key, value in data.items()}
    return plain | {key: b64decode(value) for key, value in binary.items()}
