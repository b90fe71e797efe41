"""Kernels by the REST API of Jupyter's servers, which the classic notebook has as well.

https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html
"""

from __future__ import annotations

from typing import Any

from functions.adapters.http import HttpClient
from functions.core.errors import BinderError
from functions.core.kernels import KernelUse

# A thousand kernels; a server is a stranger's, and may say anything.
MOST_BYTES = 512 * 1024
_MOST_CONNECTIONS = 1_000_000


class ServerKernels:
    """Asks servers through *client*, which does not follow them anywhere else and does not wait for long."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def use(self, server_url: str, token: str) -> KernelUse | None:
        headers = {"Authorization": f"token {token}"}
        try:
            answer = self._client.request("GET", f"{server_url}api/kernels", headers=headers, max_bytes=MOST_BYTES)
            models = answer.json()
        except BinderError:
            return None
        if not isinstance(models, list):
            return None
        kernels = [model for model in models if isinstance(model, dict)]
        return KernelUse(
            busy=sum(kernel.get("execution_state") == "busy" for kernel in kernels),
            connections=sum(map(_connections, kernels)),
        )


def _connections(kernel: dict[str, Any]) -> int:
    count = kernel.get("connections")
    return max(0, min(count, _MOST_CONNECTIONS)) if isinstance(count, int) else 0
