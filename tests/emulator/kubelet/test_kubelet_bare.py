"""Pods on a machine without bubblewrap."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.kubelet.identity import ACCOUNT
from emulator.kubelet.process import Bare
from tests.emulator.kubelet.cluster import Cluster, Loop, Namespace, eventually, passable_folder

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can start containers as somebody else")


@pytest.fixture(scope="module")
def bare(loop: Loop, server_url: str) -> Iterator[Cluster]:
    with passable_folder() as folder:
        made = Cluster(loop, server_url, folder / "kubelet", None)
        with made.kubelet():
            yield made


@pytest.fixture(scope="module")
def alike(loop: Loop, server_url: str) -> Iterator[Cluster]:
    """Containers are the same user as their kubelet, as they always are where that is not root."""
    with passable_folder() as folder:
        made = Cluster(loop, server_url, folder / "kubelet", Bare(None))
        with made.kubelet():
            yield made


@pytest.fixture
def namespace(bare: Cluster) -> Iterator[Namespace]:
    with bare.namespace_of_a_test() as made:
        yield made


def test_a_pod_has_a_home_and_a_temporary_folder_of_its_own(namespace: Namespace, bare: Cluster) -> None:
    said = namespace.said("cat README; pwd; echo $HOME; echo $TMPDIR; tool; touch mine")
    hello, *folders, tool = said.splitlines()
    assert (hello, tool) == ("hello", "from the environment")
    assert folders[0] == folders[1]
    assert all(Path(folder).is_relative_to(bare.state / "pods") for folder in folders)
    assert not (bare.images.home / "mine").exists()


def test_the_log_says_what_is_not_protected(
    loop: Loop, server_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cluster(loop, server_url, tmp_path / "kubelet", None).kubelet():
        [warning] = [each.getMessage() for each in caplog.records if "bubblewrap" in each.getMessage()]
    assert "nothing is hidden from containers" in warning
    same_user = "whatever this user may: read the state folder with all its tokens"
    assert (f"They are user {ACCOUNT.uid}" in warning, same_user in warning) == (os.geteuid() == 0, os.geteuid() != 0)


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


@as_root
def test_a_pod_is_not_root_here_either(namespace: Namespace) -> None:
    said = namespace.said("id -u; id -G; grep NoNewPrivs /proc/self/status; echo $USER > /dev/stdout; touch x")
    assert said.split() == [str(ACCOUNT.uid), str(ACCOUNT.gid), "NoNewPrivs:", "1", "jovyan"]


@as_root
def test_a_pod_cannot_read_the_logs_of_others(namespace: Namespace, bare: Cluster) -> None:
    said = namespace.said(f"ls {bare.state} {bare.state}/pods {bare.state}/logs; cat /etc/shadow; echo end")
    *refused, end = said.splitlines()
    assert end == "end"
    assert len(refused) == 4
    assert all("denied" in line for line in refused)


@as_root
def test_a_pod_that_cannot_reach_its_files_is_told_why(loop: Loop, server_url: str, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o700)
    shut = Cluster(loop, server_url, tmp_path / "shut" / "kubelet", None)
    with shut.kubelet():
        namespace = shut.namespace()
        namespace.run("true")
        pod = namespace.phase("Failed")
    message = pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
    assert f"user {ACCOUNT.uid}, which may not enter /" in message


def test_a_pod_that_is_the_same_user_has_an_environment_of_its_own(alike: Cluster) -> None:
    """Programs in it that mention their folder mention that of the copy, and nothing is left of it afterwards."""
    said = alike.namespace().said(
        "tool; command -v tool; cat $(dirname $(command -v tool))/program | tr -d '\\0\\376\\377'"
    )
    hello, tool, mentioned = said.splitlines()
    assert hello == "from the environment"
    assert Path(tool).is_relative_to(alike.state / "pods")
    assert mentioned == str(Path(tool).parent)
    eventually(lambda: not Path(tool).exists())


@pytest.mark.parametrize(
    "attack",
    [
        "chmod u+w {0}/bin/tool && echo 'echo bad' >> {0}/bin/tool",
        "echo 'echo bad' > {0}/bin/new; chmod +x {0}/bin/new; mv {0}/bin/new {0}/bin/tool",
        "rm -rf {0}/bin",
        "f={0}; rm -rf $f; ln -s / $f",
        "touch {0}/bin/sitecustomize.py",
        "chmod 0 {0}/bin/tool",
        "chmod 0 {0}/bin",
    ],
)
@pytest.mark.parametrize("place", ["own", "original"])
def test_the_next_launch_sees_nothing_of_what_a_pod_did_to_an_environment(
    alike: Cluster, place: str, attack: str
) -> None:
    namespace, original = alike.namespace(), alike.images.environment
    target = original if place == "original" else "$(dirname $(dirname $(command -v tool)))"
    namespace.run(f"{attack.format(target)} && echo done; sleep 600")
    namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and namespace.output() == "done\n")
    program = "cat $(dirname $(command -v tool))/program | wc -c; ls $(dirname $(command -v tool))"
    said = namespace.said(f"tool; {program}", name="next").split()
    assert said == ["from", "the", "environment", str(len(bytes(original / "bin")) + 4), "program", "tool"]
    namespace.delete(grace_s=0)


def test_the_stream_that_speaks_first_is_heard_first(namespace: Namespace) -> None:
    """However late the log's writer comes to look."""
    for number in range(5):
        assert namespace.said("echo first >&2; echo second", name=f"p{number}") == "first\nsecond\n"


def test_a_termination_message_may_lie_in_the_home_folder(namespace: Namespace) -> None:
    namespace.run("echo because > ~/message; exit 1", terminationMessagePath="/home/jovyan/message")
    ended = namespace.phase("Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["message"] == "because\n"
