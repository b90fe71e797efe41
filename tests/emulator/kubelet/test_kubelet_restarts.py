"""A kubelet, or its API server, that goes and comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.kubelet.process import find_runtime
from tests.emulator.kubelet.cluster import (
    TOKEN,
    Cluster,
    Loop,
    api_server,
    eventually,
    kubelet_process,
    passable_folder,
)

MARK = f"sleep 9{os.getpid()}"


@pytest.fixture
def cluster(loop: Loop, server_url: str) -> Iterator[Cluster]:
    """A cluster whose kubelet does not run yet."""
    with passable_folder() as folder:
        yield Cluster(loop, server_url, folder / "kubelet", find_runtime())


def marked() -> list[int]:
    """The processes with the mark of this module's pods, shells apart."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if line == MARK:
            found.append(int(path.parent.name))
    return found


def state(pod: Any) -> Any:
    return pod["status"]["containerStatuses"][0]


def test_a_pod_whose_kubelet_went_has_failed_when_it_is_back(cluster: Cluster) -> None:
    namespace = cluster.namespace()
    with cluster.kubelet():
        namespace.run(MARK)
        namespace.phase("Running")
        eventually(marked)
    assert not marked()
    assert namespace.pod()["status"]["phase"] == "Running"
    with cluster.kubelet():
        ended = state(namespace.phase("Failed"))["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
        namespace.delete()
        namespace.gone()


def test_a_pod_that_is_to_run_always_runs_again_at_its_address(cluster: Cluster) -> None:
    namespace = cluster.namespace()
    with cluster.kubelet():
        namespace.run(MARK, restart="Always")
        before = namespace.phase("Running")
    with cluster.kubelet():
        pod = namespace.wait(lambda pod: state(pod)["restartCount"] == 1 and "running" in state(pod)["state"])
        assert pod["status"]["podIP"] == before["status"]["podIP"]
        assert state(pod)["lastState"]["terminated"]["exitCode"] == 137
        namespace.delete(grace_s=0)


@pytest.mark.parametrize("grace_s", [0, 30])
def test_a_pod_deleted_while_the_kubelet_was_away_is_cleaned_up(cluster: Cluster, grace_s: int) -> None:
    namespace = cluster.namespace()
    with cluster.kubelet():
        uid = namespace.run(MARK)["metadata"]["uid"]
        namespace.phase("Running")
    namespace.delete(grace_s=grace_s)
    assert (cluster.state / "pods" / uid).exists()
    with cluster.kubelet():
        namespace.gone()
        eventually(lambda: not (cluster.state / "pods" / uid).exists())
        eventually(lambda: not list((cluster.state / "logs").iterdir()))


def test_a_restarted_api_server_loses_no_pod(loop: Loop, tmp_path: Path) -> None:
    with api_server(loop, tmp_path / "server") as url:
        cluster = Cluster(loop, url, tmp_path / "stack" / "kubelet", find_runtime())
        port = int(url.rpartition(":")[2])
        running = cluster.kubelet()
        running.__enter__()
        namespace = cluster.namespace()
        namespace.run("sleep 600", name="old")
        before = namespace.phase("Running", name="old")
    try:
        with api_server(loop, tmp_path / "server", port):
            namespace.run("echo hello", name="new")
            namespace.phase("Succeeded", name="new")
            assert state(namespace.pod("old")) == state(before)
            namespace.delete("old", grace_s=0)
            running.__exit__(None, None, None)
    finally:
        assert not marked()


def test_an_api_server_that_lost_its_last_moment_is_told_again_how_pods_are(loop: Loop, tmp_path: Path) -> None:
    (before := tmp_path / "before").mkdir()
    with api_server(loop, tmp_path / "server") as url:
        cluster = Cluster(loop, url, tmp_path / "stack" / "kubelet", find_runtime())
        running = cluster.kubelet()
        running.__enter__()
        namespace = cluster.namespace()
        namespace.run(MARK)
        namespace.phase("Running")
        eventually(lambda: b'"phase":"Running"' in copied(tmp_path / "server", before).replace(b" ", b""))
        os.kill(marked()[0], signal.SIGKILL)
        namespace.phase("Failed")
    try:
        with api_server(loop, before, int(url.rpartition(":")[2])):
            namespace.phase("Failed")
            running.__exit__(None, None, None)
    finally:
        assert not marked()


def copied(server: Path, copy: Path) -> bytes:
    """What would be left of the state folder of a *server* that is killed now."""
    for file in ("objects.sqlite", "objects.sqlite-wal"):
        shutil.copy(server / file, copy / file)
    return (copy / "objects.sqlite-wal").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("flags", [(), ("--no-bubblewrap",)], ids=["isolated", "bare"])
def test_no_process_outlives_its_kubelet(
    cluster: Cluster, tmp_path: Path, number: signal.Signals, flags: tuple[str, ...]
) -> None:
    namespace = cluster.namespace()
    with cluster.kubelet():
        # The image is remembered, so that the next kubelet needs no registry.
        namespace.said("true", name="first")
    with kubelet_process(cluster, tmp_path, *flags) as process:
        uid = namespace.run(f"(setsid {MARK} &) ; {MARK}")["metadata"]["uid"]
        eventually(lambda: len(marked()) == 2)
        namespace.phase("Running")
        process.send_signal(number)
        process.wait(10)
        eventually(lambda: not marked())
    assert namespace.pod()["status"]["phase"] == "Running"
    namespace.delete(grace_s=0)
    with cluster.kubelet():
        # What the killed one left is removed by the next.
        assert not (cluster.state / "pods" / uid).exists()


def test_the_endpoint_asks_for_the_token(cluster: Cluster, tmp_path: Path) -> None:
    with kubelet_process(cluster, tmp_path):
        node: dict[str, Any] = {}

        def registered() -> bool:
            node.update(cluster.get(f"/api/v1/nodes/{cluster.node}") or {})
            return bool(node)

        eventually(registered)
        port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        url = f"http://127.0.0.1:{port}"
        assert _status(f"{url}/healthz") in (200, 503)
        assert _status(f"{url}/containerLogs/n/p/c") == 401
        assert _status(f"{url}/containerLogs/n/p/c", token="wrong") == 401
        assert _status(f"{url}/containerLogs/n/p/c", token=TOKEN) == 404
        assert json.dumps(node["status"]["conditions"]).count('"Ready"') == 1


def _status(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_second_kubelet_with_the_same_state_says_so(cluster: Cluster, tmp_path: Path) -> None:
    with kubelet_process(cluster, tmp_path):
        eventually(lambda: cluster.get(f"/api/v1/nodes/{cluster.node}"))
        with kubelet_process(cluster, tmp_path) as second:
            assert second.wait(10) == 1
