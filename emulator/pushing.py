"""A repository on the stack's git host whose pushes the hub hears of: a bare one with a `post-receive` hook, as small
git hosts do it (https://git-scm.com/docs/githooks#post-receive).

As the hook, `python -m emulator.pushing STATE NAME` sends what GitHub would send, signed with the stack's secret, and
shows the answer to who pushes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import urllib3

from emulator.examples import make_repository
from emulator.stack.commands import say
from emulator.stack.documents import git_url, public_url
from emulator.stack.installation import ROOT
from emulator.stack.state import StateFolder

NAME = "pushed"
PATIENCE_S = 300.0
# Of a build in the API that has not ended.
OPEN = frozenset({"PENDING", "QUEUED", "WORKING"})


class PushedRepository:
    """The repository `pushed` of the stack in *state*."""

    def __init__(self, state: StateFolder, name: str = NAME) -> None:
        self._state, self._name = state, name
        self._bare = state.folder("git") / f"{name}.git"
        self.url = git_url(_ports(state.path), f"{name}.git")

    def push(self, folder: Path) -> str:
        """Commit what *folder* holds, with the time in a file of its own, and push it; what git said."""
        self._prepare()
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary)
            make_repository(_stamped(folder, work / "content"), work / "clone")
            return _git(work / "clone", "push", "--force", str(self._bare), "HEAD:refs/heads/main")

    async def prebuilt(self, session: aiohttp.ClientSession, base_url: str, *, push: str) -> bool:
        """Whether the build that *push* has begun, as its output says, ends well."""
        for line in push.splitlines():
            say(f"  {line.strip()}")
        told = next(_answers(push), None)
        if told is None or "image" not in told:
            return False
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE_S:
            build = await _build(session, base_url, told["image"])
            if build is not None and build["status"] not in OPEN:
                say(f"  {time.monotonic() - begun:6.1f} s  {build['status']}")
                return bool(build["status"] == "SUCCESS")
            await asyncio.sleep(0.5)
        return False

    def _prepare(self) -> None:
        if not (self._bare / "HEAD").is_file():
            _git(
                self._bare.parent, "init", "--quiet", "--bare", "--initial-branch=main", "--template=", str(self._bare)
            )
        hook = self._bare / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "emulator.pushing", str(self._state.path), self._name]
        hook.write_text(f"#!/bin/sh\ncd {shlex.quote(str(ROOT))} && exec {shlex.join(command)}\n")
        hook.chmod(0o755)


@dataclass(frozen=True, slots=True)
class Update:
    """A branch or tag that has been pushed, as git tells the hook: `<old> <new> <ref>`."""

    before: str
    after: str
    ref: str


def payload(update: Update, *, name: str, clone_url: str) -> dict[str, Any]:
    """What GitHub sends of a push, as far as a hub reads it.

    https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
    """
    repository = {"full_name": f"local/{name}", "clone_url": clone_url, "default_branch": "main"}
    return {"ref": update.ref, "before": update.before, "after": update.after, "repository": repository}


def deliver(state: Path, name: str, update: Update) -> str:
    """Send the delivery of one *update*; the hub's answer."""
    ports = _ports(state)
    body = json.dumps(payload(update, name=name, clone_url=git_url(ports, f"{name}.git"))).encode()
    secret = (state / "secrets" / "webhooks").read_text().strip()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": f"{update.after}-{time.time_ns()}",
        "X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}",
    }
    url = f"{public_url(ports)}/webhooks/github"
    return urllib3.request("POST", url, body=body, headers=headers, timeout=30).data.decode()


def _answers(push: str) -> Iterator[Mapping[str, Any]]:
    """The hub's answers in what git has printed."""
    for line in push.splitlines():
        _, mark, text = line.partition("remote: the hub says ")
        if mark:
            yield json.loads(text)


async def _build(session: aiohttp.ClientSession, base_url: str, image: str) -> dict[str, Any] | None:
    build = image.rpartition("/")[2].removeprefix("binder-")
    async with session.get(f"{base_url}/api/builds/{build}") as answer:
        found: dict[str, Any] = await answer.json()
        return found if answer.status == 200 else None


def _stamped(folder: Path, into: Path) -> Path:
    """A copy of *folder* that no push has held before."""
    shutil.copytree(folder, into)
    (into / "PUSHED").write_text(f"{time.time_ns()}\n")
    return into


def _git(folder: Path, *arguments: str) -> str:
    machine = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **machine}, capture_output=True, text=True, check=True
    )
    return done.stderr


def _ports(state: Path) -> dict[str, int]:
    ports: dict[str, int] = json.loads((state / "ports.json").read_text())
    return ports


def main() -> None:
    """What git runs after a push: standard input holds the updates, and what is printed reaches who pushes."""
    state, name = Path(sys.argv[1]), sys.argv[2]
    for line in sys.stdin:
        sys.stdout.write(f"the hub says {deliver(state, name, Update(*line.split()))}\n")


if __name__ == "__main__":
    main()
