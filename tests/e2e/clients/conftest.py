"""Programs that were written for BinderHub, unmodified, and a site on another origin that uses them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from emulator.bootstrap import CLIENTS, PROXY
from tests.e2e.stack import Stack
from tests.fakes.web import Reply, Web, web_server

HERE = Path(__file__).parent
NODE = str(PROXY / "node")
THEBE = CLIENTS / "node_modules" / "thebe-core" / "dist" / "lib"
TYPES = {".html": "text/html", ".js": "text/javascript"}


def spec_of(repo_url: str, ref: str = "HEAD") -> str:
    """Provider and spec of a repository, as they stand after /build/ and /v2/."""
    return f"git/{quote(repo_url, safe='')}/{ref}"


def bundle(source: str, into: Path, *options: str) -> Path:
    """*source* with what it imports, as one file."""
    esbuild = [NODE, str(CLIENTS / "node_modules" / "esbuild" / "bin" / "esbuild")]
    command = [*esbuild, str(HERE / source), "--bundle", f"--outfile={into}", "--log-level=warning", *options]
    environment = {**os.environ, "NODE_PATH": str(CLIENTS / "node_modules")}
    subprocess.run(command, env=environment, check=True, timeout=60)
    return into


@pytest.fixture(scope="session")
def plain(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a repository with a notebook, whose image is there."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "notes.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    repo_url = stack.publish(folder, "for-clients")
    stack.ready(repo_url)
    return repo_url


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web site that has nothing to do with the hub. `/book.html` holds the clients."""
    script = bundle("launch.mjs", tmp_path_factory.mktemp("site") / "launch.js", "--global-name=binderhubClient")

    def answer(reply: Reply) -> None:
        name = Path(urlsplit(reply.path).path).name
        file = {"book.html": HERE / "book.html", "binderhub-client.js": script}.get(name, THEBE / name)
        if file.is_file():
            reply.send(200, file.read_bytes(), {"Content-Type": TYPES.get(file.suffix, "text/plain")})
        else:
            reply.send(404)

    with web_server() as web:
        web.answer = answer
        yield web
