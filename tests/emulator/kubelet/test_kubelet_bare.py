"""Pods on a machine without bubblewrap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.kubelet.cluster import Cluster, Loop, Namespace


@pytest.fixture(scope="module")
def bare(loop: Loop, server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(loop, server_url, tmp_path_factory.mktemp("bare") / "kubelet", None)
    with made.kubelet():
        yield made


@pytest.fixture
def namespace(bare: Cluster) -> Namespace:
    return bare.namespace()


def test_a_pod_has_a_home_and_a_temporary_folder_of_its_own(namespace: Namespace, bare: Cluster) -> None:
    said = namespace.said("cat README; pwd; echo $HOME; echo $TMPDIR; tool; touch mine")
    hello, *folders, tool = said.splitlines()
    assert (hello, tool) == ("hello", "from the environment")
    assert folders[0] == folders[1]
    assert all(Path(folder).is_relative_to(bare.state / "pods") for folder in folders)
    assert not (bare.images.home / "mine").exists()


def test_paths_of_the_home_folder_are_moved(namespace: Namespace) -> None:
    env = [{"name": "PLACE", "value": "/home/jovyan/x:/home/jovyaner"}]
    said = namespace.said("", command=["sh", "-c", "echo $0 $PLACE $HOME"], args=["/home/jovyan/y"], env=env)
    argument, place, home = said.split()
    assert (argument, place) == (f"{home}/y", f"{home}/x:/home/jovyaner")


def test_a_volume_below_the_home_folder_is_there_and_others_are_said_not_to_be(namespace: Namespace) -> None:
    namespace.create("configmaps", {"metadata": {"name": "c"}, "data": {"f": "hello\n"}})
    said = namespace.said(
        "cat ~/data/f; ls /nowhere-else 2>&1",
        volumes=[{"name": "c", "configMap": {"name": "c"}}],
        volumeMounts=[{"name": "c", "mountPath": "/home/jovyan/data"}, {"name": "c", "mountPath": "/nowhere-else"}],
    )
    assert said.startswith("hello\nls: cannot access")
    assert namespace.event("FailedMount") == "/nowhere-else cannot be mounted without bubblewrap"


def test_an_unknown_command_is_a_start_error_here_too(namespace: Namespace) -> None:
    namespace.run(command=["no-such-command"])
    ended = namespace.phase("Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["reason"] == "StartError"
    assert "no-such-command" in ended["message"]


def test_a_deaf_pod_is_killed_here_too(namespace: Namespace) -> None:
    namespace.run("trap '' TERM; echo up; while :; do sleep 0.05; done", terminationGracePeriodSeconds=1)
    namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and namespace.output() == "up\n")
    namespace.delete()
    namespace.gone()


def test_an_exit_code_is_told_here_too(namespace: Namespace) -> None:
    namespace.run("kill -9 $$$$")
    pod = namespace.phase("Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
