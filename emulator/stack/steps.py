"""What has to be done, or to be true, between starting the parts and calling the stack ready."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from emulator.stack.documents import BUILDS_NAMESPACE, PUSH_KEY, PUSH_SECRET, SERVERS_NAMESPACE
from emulator.stack.parts import StackFailed
from emulator.stack.processes import leashed
from emulator.stack.requests import Answer, request

PATIENCE_S = 45.0


class Cluster:
    """The Kubernetes API of the stack, as far as the steps need it."""

    def __init__(self, server: str, token: str) -> None:
        self._server = server
        self._token = token

    async def make_namespaces(self) -> None:
        """Make the namespaces of servers and of builds."""
        for name in (SERVERS_NAMESPACE, BUILDS_NAMESPACE):
            await self._apply("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": name}})

    async def keep_secret(self, credentials: Mapping[str, str]) -> None:
        """Make the secret from which builds learn how to push, or bring it up to date."""
        data = {PUSH_KEY: base64.b64encode(json.dumps(credentials).encode()).decode()}
        manifest = {"kind": "Secret", "metadata": {"name": PUSH_SECRET}, "type": "Opaque", "data": data}
        await self._apply(f"/api/v1/namespaces/{BUILDS_NAMESPACE}/secrets", manifest, replace=True)

    async def await_node(self) -> None:
        """Wait for a node that takes pods."""
        await until(self._has_ready_node, what="no node of the cluster is ready; see `logs kubelet`")

    async def _has_ready_node(self) -> bool:
        answer = await self._ask("GET", "/api/v1/nodes")
        return answer.status == 200 and any(_is_ready(node) for node in answer.json()["items"])

    async def _apply(self, path: str, manifest: dict[str, Any], *, replace: bool = False) -> None:
        answer = await self._ask("POST", path, {"apiVersion": "v1", **manifest})
        if answer.status == 409 and replace:
            name = manifest["metadata"]["name"]
            answer = await self._ask("PUT", f"{path}/{name}", {"apiVersion": "v1", **manifest})
        if answer.status not in (200, 201, 409):
            raise StackFailed(f"kube refused {path}: {answer.status} {answer.body[:300]!r}")

    async def _ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Answer:
        return await request(f"{self._server}{path}", method=method, token=self._token, content=content)


def _is_ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


async def await_hub(api_url: str, proxied_url: str, token: str) -> None:
    """Wait until the Hub takes the functions' token, and can be reached through the proxy."""

    async def answers() -> bool:
        users = await request(f"{api_url}/users?limit=1", token=token)
        if users.status in (401, 403):
            raise StackFailed(f"JupyterHub refuses the functions' token: {users.body[:300]!r}")
        return users.status == 200 and (await request(f"{proxied_url}hub/api/")).status == 200

    await until(answers, what="JupyterHub does not answer the functions; see `logs hub` and `logs proxy`")


async def await_gateway(url: str) -> None:
    """Wait until functions answer at the public address, and find all they need healthy."""
    last = Answer(0, b"")

    async def answers() -> bool:
        nonlocal last
        last = await request(f"{url}/health", timeout_s=15)
        return last.status == 200 and (await request(f"{url}/", timeout_s=15)).status == 200

    try:
        await until(answers, what="the functions are not healthy; see `logs run`")
    except StackFailed as failure:
        raise StackFailed(f"{failure}\n    /health: {last.status} {last.body[:500].decode(errors='replace')}") from None


async def until(question: Callable[[], Awaitable[bool]], *, what: str) -> None:
    """Return when *question* is answered with yes; raise StackFailed with *what* when it takes too long."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await question():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise StackFailed(f"{what} (waited {PATIENCE_S:.0f} s)") from None


async def run_command(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command to its end; raise StackFailed with its last words when it fails."""
    process = await asyncio.create_subprocess_exec(
        *leashed(command, parent=os.getpid()),
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        words = "\n".join(f"    {line}" for line in output.decode(errors="replace").splitlines()[-15:])
        raise StackFailed(f"{' '.join(command[1:4])} failed:\n{words}")
