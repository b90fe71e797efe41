"""A read-only git host over smart HTTP, for repositories on this machine; anonymous, as public git hosts are.

The protocol is git's own `http-backend`, run as CGI for each request: https://git-scm.com/docs/git-http-backend
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from aiohttp import web

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_PROCESSES = 16
TIMEOUT_S = 300
CHUNK_BYTES = 64 * 1024

# Each component begins with a letter or digit: no "..", no hidden folders, no options.
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
_PATH = re.compile(rf"/git/(?P<name>{_PART}(?:/{_PART}){{0,3}})\.git/(?P<service>info/refs|git-upload-pack)")
_GIT_PROTOCOL = re.compile(r"version=[0-2]")

_SETTINGS = {
    # Repositories may belong to whoever made them.
    "safe.directory": "*",
    "http.receivepack": "false",
    "uploadpack.allowFilter": "true",
    # As public hosts: any commit that a branch leads to can be fetched by its sha.
    "uploadpack.allowReachableSHA1InWant": "true",
}


class GitHost:
    """Serves `<root>/NAME.git` (bare) or `<root>/NAME` (with a work tree) as `/git/NAME.git`."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._slots = asyncio.Semaphore(MAX_PROCESSES)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/git/{path:.+}", self.handle, allow_head=False),
            web.post("/git/{path:.+}", self.handle),
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request of `git fetch`, `git clone` or `git ls-remote`."""
        match = _PATH.fullmatch(request.path)
        git_folder = self._find(match["name"]) if match else None
        if match is None or git_folder is None:
            raise web.HTTPNotFound(text="Repository not found.\n")
        advertises = match["service"] == "info/refs"
        if advertises and request.query_string != "service=git-upload-pack":
            raise web.HTTPForbidden(text="Read-only, over smart HTTP only.\n")
        if request.method != ("GET" if advertises else "POST"):
            raise web.HTTPMethodNotAllowed(request.method, ["GET" if advertises else "POST"])
        path_info = f"/{git_folder.relative_to(self._root)}/{match['service']}"
        async with self._slots:
            return await self._serve(request, self._environment(request, path_info))

    def _find(self, name: str) -> Path | None:
        for candidate in (self._root / f"{name}.git", self._root / name / ".git"):
            resolved = candidate.resolve()
            if resolved.is_relative_to(self._root) and (resolved / "HEAD").is_file():
                return resolved
        return None

    def _environment(self, request: web.Request, path_info: str) -> dict[str, str]:
        """All that the CGI process sees: nothing of our own environment."""
        settings: dict[str, str] = {}
        for number, (key, value) in enumerate(_SETTINGS.items()):
            settings |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        protocol = request.headers.get("Git-Protocol", "")
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": protocol if _GIT_PROTOCOL.fullmatch(protocol) else "",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": path_info,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_ADDR": "127.0.0.1",
        } | settings

    async def _serve(self, request: web.Request, environment: dict[str, str]) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment,
            limit=MAX_HEADER_BYTES, start_new_session=True,
        )  # fmt: skip
        feeding = asyncio.create_task(_feed(process, request))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await _answer(process, request)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await _end(process)


async def _feed(process: Process, request: web.Request) -> None:
    """Pass the request's body on; aiohttp has undone gzip and chunks, so the end of the pipe is the end of the body."""
    assert process.stdin is not None
    received = 0
    with suppress(ConnectionError):
        async for chunk in request.content.iter_chunked(CHUNK_BYTES):
            received += len(chunk)
            if received > MAX_REQUEST_BYTES:
                log.warning("git: a request of more than %d bytes", MAX_REQUEST_BYTES)
                _kill(process)
                return
            process.stdin.write(chunk)
            await process.stdin.drain()
    process.stdin.close()


async def _answer(process: Process, request: web.Request) -> web.StreamResponse:
    """Turn the CGI's output into a response while it is written."""
    assert process.stdout is not None
    try:
        head = await process.stdout.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return web.Response(status=502, text="git did not answer.\n")
    status, headers = _parsed(head.decode("latin-1"))
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    while chunk := await process.stdout.read(CHUNK_BYTES):
        await response.write(chunk)
    if await process.wait() < 0 and request.transport is not None:
        # Killed: what was sent must not look complete.
        request.transport.abort()
    return response


def _parsed(head: str) -> tuple[int, dict[str, str]]:
    lines = (line.partition(":") for line in head.split("\r\n") if line)
    headers = {name.strip(): value.strip() for name, _, value in lines}
    status = headers.pop("Status", "200 OK")
    return int(status.split()[0]), headers


async def _end(process: Process) -> None:
    """Leave no process behind, also when the client went away in the middle."""
    _kill(process)
    await process.wait()


def _kill(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            # A session of its own: git's children go with it.
            os.killpg(process.pid, signal.SIGKILL)
