"""What a notebook may not do to the stack, to other people's servers and to the machine. It tries, in a real kernel."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import aiohttp
import pytest

from emulator.kernels import execute
from emulator.kubelet.cgroups import find_cgroups
from tests.e2e.conftest import MakeRepository
from tests.e2e.stack import HTTP, Event, Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs Debian's package bubblewrap")


def cgroups_can_be_made() -> bool:
    found = find_cgroups("binderless-probe")
    if found:
        found.close()
    return found is not None


needs_cgroups = pytest.mark.skipif(not cgroups_can_be_made(), reason="needs control groups that we may make")

TRY_TO_READ = """
def attempt(path):
    try:
        return open(path, "rb").read(20) and "read"
    except IsADirectoryError:
        return "read"
    except OSError as error:
        return type(error).__name__
attempt({path!r})
"""
TRY_TO_WRITE = """
import sys, pathlib
def attempt(path):
    try:
        path.write_text("mine")
    except OSError as error:
        return type(error).__name__
    return "written"
attempt(pathlib.Path(sys.prefix) / "lib" / "mine.py") + " " + attempt(pathlib.Path(json_file))
"""
VANDALIZE = """
import os, pathlib, shutil, sys
for place in [pathlib.Path(sys.prefix), *pathlib.Path({environments!r}).glob("*")]:
    for site in place.glob("lib/python*/site-packages"):
        try:
            (site / "left_behind.py").write_text("")
            shutil.rmtree(site / "jupyterlab")
        except OSError:
            pass
0
"""
TRY_TO_CALL = """
import urllib.request, urllib.error
def attempt(method, url):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, data=b"{{}}", method=method), timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
attempt({method!r}, {url!r})
"""


@pytest.fixture(scope="module")
def attacker(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Event:
    """A running server of somebody with bad intentions."""
    folder = tmp_path_factory.mktemp("attacker")
    (folder / "README.md").write_text("attacker")
    return stack.ready(stack.publish(folder, "attacker"))


def run(server: Event, code: str) -> str:
    """What a kernel of the server answers to *code*."""

    async def answer() -> str:
        async with aiohttp.ClientSession() as session:
            return await execute(session, server.data["url"], server.data["token"], code)

    return asyncio.run(answer())


@needs_bubblewrap
@pytest.mark.parametrize(
    "path",
    [
        "secrets/cluster-admin",
        "secrets/hub-service",
        "hub/jupyterhub.sqlite",
        "functions/store.sqlite",
        "cloud",
        "kubelet/pods",
        "kubeconfig",
    ],
)
def test_a_notebook_does_not_see_the_state_folder(stack: Stack, attacker: Event, path: str) -> None:
    assert (stack.state / path).exists()
    assert run(attacker, TRY_TO_READ.format(path=str(stack.state / path))) in (
        "'FileNotFoundError'",
        "'PermissionError'",
    )


@needs_bubblewrap
def test_a_notebook_does_not_see_the_home_of_whoever_runs_the_stack(attacker: Event) -> None:
    files = [path for path in Path.home().iterdir() if path.is_file()]
    seen = {path.name: run(attacker, TRY_TO_READ.format(path=str(path))) for path in files[:5]}
    assert set(seen.values()) <= {"'FileNotFoundError'", "'PermissionError'"}


@needs_bubblewrap
def test_a_notebook_is_nobody_special(attacker: Event) -> None:
    assert run(attacker, "import os; os.getuid()") == "1000"
    assert run(attacker, TRY_TO_READ.format(path="/etc/shadow")) == "'PermissionError'"


@needs_bubblewrap
def test_a_notebook_cannot_write_to_its_environment(attacker: Event) -> None:
    code = TRY_TO_WRITE.replace("json_file", "__import__('json').__file__")
    assert run(attacker, code) in ("'OSError OSError'", "'PermissionError PermissionError'")


def test_the_next_launch_sees_nothing_of_what_a_notebook_did_to_environments(
    stack: Stack, make_repository: MakeRepository
) -> None:
    """Not even where nothing keeps the notebook from it, for want of bubblewrap."""
    repository = make_repository("vandal")
    run(stack.ready(repository), VANDALIZE.format(environments=str(stack.state / "kubelet" / "environments")))
    assert run(stack.ready(repository), "import importlib.util as u; u.find_spec('left_behind') is None") == "True"


@needs_bubblewrap
def test_a_notebook_sees_only_its_own_processes(attacker: Event) -> None:
    commands = run(attacker, "import pathlib; [p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')]")
    assert "jupyter-lab" in commands
    assert "jupyterhub" not in commands
    assert "emulator" not in commands


@pytest.mark.parametrize(
    ("method", "port", "path"),
    [
        ("GET", "kube", "/api/v1/pods"),
        ("DELETE", "kube", "/api/v1/namespaces/binderless/pods"),
        ("GET", "hub_api", "/hub/api/users"),
        ("DELETE", "hub_api", "/hub/api/users/somebody/server"),
        ("GET", "registry", "/v2/_catalog"),
        ("POST", "on_build_complete", "/"),
        ("POST", "cull", "/"),
        ("GET", "run_admin", "/instances"),
        ("PUT", "cloud", "/admin/pubsub/faults"),
        ("GET", "kubelet", "/containerLogs/binderless/x/notebook"),
        ("GET", "proxy_api", "/api/routes"),
    ],
)
def test_no_part_obeys_a_notebook(stack: Stack, attacker: Event, method: str, port: str, path: str) -> None:
    url = f"http://127.0.0.1:{stack.port(port)}{path}"
    assert run(attacker, TRY_TO_CALL.format(method=method, url=url)) in ("401", "403")


def test_a_stranger_cannot_announce_the_end_of_a_build(stack: Stack) -> None:
    import grpc
    from google.api_core.exceptions import Unauthenticated
    from google.pubsub_v1 import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    channel = grpc.insecure_channel(f"127.0.0.1:{stack.port('pubsub')}")
    client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    with pytest.raises(Unauthenticated):
        client.publish(topic="projects/local/topics/cloud-builds", messages=[{"data": b"{}"}], retry=None, timeout=10)
    channel.close()


def test_a_token_opens_its_own_server_only(stack: Stack, attacker: Event, make_repository: MakeRepository) -> None:
    victim = stack.ready(make_repository("victim"))
    headers = {"Authorization": f"token {attacker.data['token']}"}
    answer = HTTP.request("GET", f"{victim.data['url']}api/contents", headers=headers)
    assert answer.status == 403


@needs_cgroups
def test_a_notebook_cannot_fill_the_memory(stack: Stack, make_repository: MakeRepository) -> None:
    server = stack.ready(make_repository("filler"))
    assert run(server, "len(bytearray(10**8))") == "100000000"
    with pytest.raises(ConnectionError, match="the kernel died"):
        run(server, "len(b'x' * (3 * 2**30))")
    assert run(server, "1 + 1") == "2"


@needs_cgroups
def test_a_build_cannot_fill_the_memory(stack: Stack, make_repository: MakeRepository) -> None:
    fill = "#!/bin/sh\npython -c \"len(b'x' * (6 * 2**30))\"\n"
    last = list(stack.until_end(stack.launch(make_repository("hog", postBuild=fill))))[-1]
    assert last.phase == "failed"
    assert "more memory than it may use" in last.message


@needs_bubblewrap
def test_nothing_outlives_its_pod(stack: Stack, make_repository: MakeRepository) -> None:
    server = stack.ready(make_repository("clinger"))
    marker = "31415.92653"
    code = f"import subprocess; subprocess.Popen(['setsid', '--fork', 'sleep', '{marker}']).wait()"
    run(server, f"{code}\n0")
    wait_until(lambda: bool(_processes(marker)), what="the start of the daemon")
    [user] = stack.users_of("clinger")
    stack.hub("DELETE", f"/users/{user}/server")
    wait_until(lambda: not _processes(marker), what="the end of the daemon")


def _processes(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:1] == [b"sleep"] and marker.encode() in words:
            found.append(json.dumps([word.decode() for word in words]))
    return found
