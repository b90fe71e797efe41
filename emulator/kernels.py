"""Runs code in a kernel of a user's server, as a notebook does: over REST and a websocket, through the proxy."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

TIMEOUT_S = 30


async def execute(session: aiohttp.ClientSession, server_url: str, token: str, code: str) -> str:
    """Start a kernel, run *code*, and return the text of its result; the kernel is stopped again.

    Raises ConnectionError when the kernel dies of it, TimeoutError when it takes too long.
    """
    async with asyncio.timeout(TIMEOUT_S), running_kernel(session, server_url, token) as run:
        return await run(code)


@asynccontextmanager
async def running_kernel(
    session: aiohttp.ClientSession, server_url: str, token: str
) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """A kernel for as long as the context lasts. What is given runs code in it, and returns the text of the result."""
    headers = {"Authorization": f"token {token}"}
    kernels = f"{server_url}api/kernels"
    async with session.post(kernels, headers=headers) as response:
        response.raise_for_status()
        kernel = (await response.json())["id"]
    try:
        channels = f"{kernels}/{kernel}/channels".replace("http", "ws", 1)
        async with session.ws_connect(channels, headers=headers) as socket:

            async def run(code: str) -> str:
                request = _execute_request(code)
                await socket.send_json(request)
                return await _result(socket, request["header"]["msg_id"])

            yield run
    finally:
        async with session.delete(f"{kernels}/{kernel}", headers=headers):
            pass


def _execute_request(code: str) -> dict[str, Any]:
    """https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute"""
    header = {"msg_id": uuid.uuid4().hex, "session": uuid.uuid4().hex, "username": "", "version": "5.3", "date": ""}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "user_expressions": {}}
    return {
        "channel": "shell",
        "header": {**header, "msg_type": "execute_request"},
        "parent_header": {},
        "metadata": {},
        "content": content,
    }


async def _result(socket: aiohttp.ClientWebSocketResponse, request_id: str) -> str:
    async for frame in socket:
        message = json.loads(frame.data)
        if message["content"].get("execution_state") in ("restarting", "dead"):
            raise ConnectionError("the kernel died")
        # A kernel also speaks of itself: that it has been started again, or warnings of its interpreter.
        if message["parent_header"].get("msg_id") != request_id:
            continue
        content = message["content"]
        match message["msg_type"]:
            case "execute_result":
                return str(content["data"]["text/plain"])
            case "stream":
                return str(content["text"])
            case "error":
                return f"{content['ename']}: {content['evalue']}"
    raise ConnectionError("the kernel went away")
