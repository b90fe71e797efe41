"""A kubelet that is killed under running containers, and the next one that takes them over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websocket import create_connection

from emulator.kubelet.addresses import CLAIM_PORT
from emulator.kubelet.cgroups import find_cgroups
from emulator.kubelet.process import find_runtime
from tests.emulator.kubelet.cluster import (
    TOKEN,
    Cluster,
    Loop,
    Namespace,
    eventually,
    passable_folder,
)
from tests.emulator.kubelet.mortal_node import Node

NUMBERS = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.01; done"
# Becomes a file in the container's home folder, for which scripts wait.
SIGN = "go"
WAIT = f"until test -e ~/{SIGN}; do sleep 0.02; done"


@pytest.fixture(scope="module", params=[(), ("--no-bubblewrap",)], ids=["isolated", "bare"])
def cluster(request: pytest.FixtureRequest, loop: Loop, server_url: str) -> Iterator[tuple[Cluster, tuple[str, ...]]]:
    """A cluster whose kubelet does not run, and knows the image."""
    if not request.param and find_runtime() is None:
        pytest.skip("needs bubblewrap")
    with passable_folder() as folder:
        made = Cluster(loop, server_url, folder / "kubelet", find_runtime())
        with made.kubelet():
            made.namespace().said("true")
        yield made, request.param


@pytest.fixture
def keeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def node(cluster: tuple[Cluster, tuple[str, ...]], tmp_path: Path, keeper: subprocess.Popen[bytes]) -> Iterator[Node]:
    made = Node(cluster[0], tmp_path, keeper.pid, cluster[1])
    made.start()
    yield made
    made.close()


def state(pod: Any) -> Any:
    return pod["status"]["containerStatuses"][0]


def conditions(pod: Any) -> list[tuple[str, str, str]]:
    return [(each["type"], each["status"], each["lastTransitionTime"]) for each in pod["status"]["conditions"]]


def seen(namespace: Namespace, condition: Callable[[], object]) -> None:
    eventually(condition, lambda: json.dumps(namespace.pod()["status"], indent=1))


def test_a_container_outlives_its_kubelet_and_its_pod_never_notices(node: Node) -> None:
    node.namespace.run(NUMBERS, restart="Always")
    before = node.namespace.phase("Running")
    pid = node.pid()
    node.restart()
    seen(node.namespace, lambda: node.lines())
    grown = len(node.lines())
    eventually(lambda: len(node.lines()) > grown + 50)
    after = node.namespace.pod()
    assert node.pid() == pid and Path(f"/proc/{pid}").exists()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["phase"] == "Running"
    assert state(after) == state(before)
    assert conditions(after) == conditions(before)
    assert after["status"]["podIP"] == before["status"]["podIP"]
    lines = node.lines()
    assert lines == [str(number + 1) for number in range(len(lines))]


def test_who_follows_the_log_of_an_adopted_container_sees_all_of_it_to_its_end(node: Node) -> None:
    node.namespace.run(f"echo before; {WAIT}; seq 1000; echo end")
    node.namespace.phase("Running")
    home = node.home()
    node.restart()
    seen(node.namespace, lambda: node.lines() == ["before"])
    (home / SIGN).touch()
    followed = node.namespace.output(follow="true").splitlines()
    assert followed == ["before", *map(str, range(1, 1001)), "end"]


def test_an_adopted_container_is_asked_to_end_and_given_its_time(node: Node) -> None:
    """After its hook."""
    script = "trap 'cat ~/hooked; sleep 0.5; echo over; exit' TERM; echo up; while :; do sleep 0.05; done"
    hook = {"exec": {"command": ["sh", "-c", "echo asked > $HOME/hooked"]}}
    node.namespace.run(script, lifecycle={"preStop": hook})
    node.namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and node.lines() == ["up"])
    uid, pid = node.namespace.pod()["metadata"]["uid"], node.pid()
    log = node.cluster.state / "logs" / f"{node.namespace.name}_a_{uid}" / "main" / "0.log"
    kept = node.cluster.state.parent / f"{uid}.log"
    os.link(log, kept)
    node.restart()
    seen(node.namespace, lambda: node.lines())
    node.namespace.delete()
    node.namespace.gone()
    assert not Path(f"/proc/{pid}").exists()
    said = [line.split()[-1] for line in kept.read_text().splitlines()]
    # Without a sandbox the shell's `sleep` is asked as well, which the shell remarks.
    assert [word for word in said if word != "Terminated"] == ["up", "asked", "over"]


def test_an_adopted_container_that_does_not_listen_is_killed_after_its_time(node: Node) -> None:
    node.namespace.run("trap '' TERM; echo up; while :; do sleep 0.05; done", terminationGracePeriodSeconds=1)
    node.namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and node.lines() == ["up"])
    pid = node.pid()
    node.restart()
    node.namespace.delete()
    node.namespace.gone()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (7, "Failed")])
def test_a_container_that_ended_while_nobody_looked_tells_how(node: Node, code: int, phase: str) -> None:
    node.namespace.run(f"{WAIT}; echo last words; exit {code}")
    node.namespace.phase("Running")
    home, pid = node.home(), node.pid()
    node.kill()
    (home / SIGN).touch()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    eventually(lambda: (run := node.record().read()) and not run.alive)
    node.start()
    ended = state(node.namespace.phase("Succeeded", "Failed"))["state"]["terminated"]
    assert node.namespace.pod()["status"]["phase"] == phase
    assert (ended["exitCode"], ended["reason"]) == (code, "Error" if code else "Completed")
    assert node.lines() == ["last words"]


def test_a_container_that_ended_while_nobody_looked_runs_again_if_it_is_to(node: Node) -> None:
    node.namespace.run(f"{WAIT}; rm ~/{SIGN}; exit 7", restart="Always")
    before = node.namespace.phase("Running")
    home = node.home()
    node.kill()
    (home / SIGN).touch()
    eventually(lambda: (run := node.record().read()) and not run.alive)
    node.start()
    pod = node.namespace.wait(lambda pod: state(pod)["restartCount"] == 1 and "running" in state(pod)["state"])
    assert state(pod)["lastState"]["terminated"]["exitCode"] == 7
    assert pod["status"]["podIP"] == before["status"]["podIP"]


def test_a_container_that_was_killed_for_its_memory_while_nobody_looked_says_so(node: Node) -> None:
    cgroups = find_cgroups(f"binderless-test-{os.getpid()}")
    if cgroups is None:
        pytest.skip("needs a control group that we may write to")
    cgroups.close()
    node.namespace.run(f"{WAIT}; exec tail /dev/zero", resources={"limits": {"memory": "64Mi"}})
    node.namespace.phase("Running")
    home = node.home()
    node.kill()
    (home / SIGN).touch()
    eventually(lambda: (run := node.record().read()) and not run.alive)
    node.start()
    ended = state(node.namespace.phase("Failed"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_probes_go_on_in_an_adopted_container(node: Node) -> None:
    probe = {"exec": {"command": ["sh", "-c", "test -e $HOME/ready"]}, "periodSeconds": 1, "failureThreshold": 1}
    node.namespace.run(f"touch ~/ready; {WAIT}", readinessProbe=probe)
    before = node.namespace.wait(lambda pod: pod["status"].get("containerStatuses") and state(pod)["ready"])
    node.restart()
    seen(node.namespace, lambda: node.cluster.get(f"/api/v1/nodes/{node.cluster.node}"))
    assert conditions(node.namespace.pod()) == conditions(before)
    (node.home() / "ready").unlink()
    node.namespace.wait(lambda pod: not state(pod)["ready"])
    assert node.namespace.pod()["status"]["phase"] == "Running"


@pytest.mark.parametrize("grace_s", [0, 30])
def test_a_pod_that_was_deleted_while_nobody_looked_ends(node: Node, grace_s: int) -> None:
    node.namespace.run("sleep 600")
    node.namespace.phase("Running")
    uid, pid = node.namespace.pod()["metadata"]["uid"], node.pid()
    node.kill()
    node.namespace.delete(grace_s=grace_s)
    assert Path(f"/proc/{pid}").exists()
    node.start()
    node.namespace.gone()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    eventually(lambda: not (node.cluster.state / "runs" / uid).exists())
    eventually(lambda: not (node.cluster.state / "pods" / uid).exists())


@pytest.mark.parametrize("tty", [False, True])
def test_an_adopted_container_still_hears_who_attaches(node: Node, tty: bool) -> None:
    node.namespace.run("echo up; read a; echo got $a; read b; echo got $b", stdin=True, tty=tty)
    node.namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and node.lines() == ["up"])
    assert "got one" in say_and_hear(node, "one\n", "got one")
    node.restart()
    seen(node.namespace, lambda: "got one" in node.lines())
    assert "got two" in say_and_hear(node, "two\n", "got two")
    node.namespace.phase("Succeeded")


def say_and_hear(node: Node, text: str, awaited: str) -> str:
    url = f"{node.cluster.url.replace('http', 'ws')}/api/v1/namespaces/{node.namespace.name}/pods/a/attach"
    headers, protocols = {"Authorization": f"Bearer {TOKEN}"}, ["v5.channel.k8s.io"]
    session = create_connection(f"{url}?stdin=1&stdout=1", header=headers, subprotocols=protocols, timeout=20)
    session.send_binary(b"\0" + text.encode())
    said = b""
    while awaited.encode() not in said:
        message = session.recv()
        assert isinstance(message, bytes)
        said += message[1:]
    session.close()
    return said.decode()


def test_an_init_container_is_adopted_and_what_follows_it_runs(node: Node) -> None:
    image = node.cluster.images.images
    first = {"name": "first", "image": next(iter(image)), "command": ["sh", "-c", f"{WAIT}; echo first"]}
    node.namespace.run("echo second; sleep 600", initContainers=[first])
    node.namespace.wait(lambda pod: "running" in str(pod["status"].get("initContainerStatuses")))
    pid = node.pid(container="first")
    node.restart()
    assert Path(f"/proc/{pid}").exists()
    (node.home(container="first") / SIGN).touch()
    node.namespace.phase("Running")
    assert node.namespace.output(container="first") == "first\n"
    seen(node.namespace, lambda: node.lines() == ["second"])


def test_volumes_of_an_adopted_container_stay_as_they_are(node: Node) -> None:
    """Also when what they show is gone meanwhile."""
    node.namespace.create("configmaps", {"metadata": {"name": "c"}, "data": {"f": "hello"}})
    mounts = [{"name": "c", "mountPath": "/home/jovyan/c"}, {"name": "e", "mountPath": "/home/jovyan/e"}]
    node.namespace.run(
        f"echo kept > ~/e/x; echo up; {WAIT}; cat ~/c/f ~/e/x; exit 3",
        volumes=[{"name": "c", "configMap": {"name": "c"}}, {"name": "e", "emptyDir": {}}],
        volumeMounts=mounts,
    )
    node.namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and node.lines() == ["up"])
    home = node.home()
    node.kill()
    node.cluster.call("DELETE", f"/api/v1/namespaces/{node.namespace.name}/configmaps/c")
    node.start()
    seen(node.namespace, lambda: node.lines() == ["up"])
    (home / SIGN).touch()
    node.namespace.phase("Failed")
    assert node.lines() == ["up", "hellokept"]


def test_nobody_takes_the_address_of_a_container_whose_kubelet_is_away(node: Node) -> None:
    node.namespace.run(WAIT, restart="Always")
    address = node.namespace.phase("Running")["status"]["podIP"]
    home = node.home()
    node.kill()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
        other.bind((address, CLAIM_PORT))
    node.start()
    (home / SIGN).touch()
    pod = node.namespace.wait(lambda pod: state(pod)["restartCount"] == 1 and "running" in state(pod)["state"])
    assert pod["status"]["podIP"] == address


@pytest.mark.parametrize("kubelet_lives", [True, False])
def test_containers_end_with_the_stack_and_count_as_lost(
    node: Node, keeper: subprocess.Popen[bytes], kubelet_lives: bool
) -> None:
    """However gently the command took it: it was cut short, and has not succeeded."""
    node.namespace.run("(setsid sleep 600 &); trap 'exit 0' TERM; while :; do sleep 0.02; done")
    node.namespace.phase("Running")
    run = node.record().read()
    assert run is not None and run.shim is not None
    family = [run.shim.pid, node.pid()]
    if not kubelet_lives:
        node.kill()
    keeper.kill()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    assert (left := node.record().read()) and left.exit_code is None


def test_a_container_whose_outermost_process_is_killed_ends_and_is_lost(node: Node) -> None:
    node.namespace.run("sleep 600")
    node.namespace.phase("Running")
    run, pid = node.record().read(), node.pid()
    assert run is not None and run.shim is not None
    node.kill()
    os.kill(run.shim.pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    node.start()
    ended = state(node.namespace.phase("Failed"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")


def test_a_process_that_has_only_the_number_of_a_container_is_left_alone(
    node: Node, keeper: subprocess.Popen[bytes]
) -> None:
    node.namespace.run("sleep 600")
    node.namespace.phase("Running")
    record = node.record()
    run = record.read()
    assert run is not None and run.shim is not None
    node.kill()
    os.kill(run.shim.pid, signal.SIGKILL)
    with subprocess.Popen(["sleep", "600"]) as innocent:
        with record.path.open("a") as file:
            file.write(json.dumps({"shim": [innocent.pid, run.shim.started], "main": [innocent.pid, 1]}) + "\n")
        node.start()
        node.namespace.phase("Failed")
        node.namespace.delete(grace_s=0)
        node.namespace.gone()
        assert innocent.poll() is None
        innocent.kill()


def test_who_holds_an_end_of_its_output_keeps_no_container_from_ending(node: Node) -> None:
    """A container may have handed it to another one."""
    node.namespace.run("echo up; sleep 600")
    node.namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and node.lines() == ["up"])
    with open(f"/proc/{node.pid()}/fd/1", "wb") as held:
        node.namespace.delete(grace_s=0)
        node.namespace.gone()
        assert not held.closed


def test_a_container_cannot_write_what_is_known_of_it(node: Node) -> None:
    if os.geteuid() != 0 and "--no-bubblewrap" in node.flags:
        pytest.skip("needs an account of the containers' own")
    runs = node.cluster.state / "runs"
    node.namespace.run(f"echo x > {runs}/x; ls {runs}; find /proc -lname '{runs}/*' 2> /dev/null; echo end")
    node.namespace.phase("Succeeded")
    assert str(runs / node.namespace.pod()["metadata"]["uid"]) not in node.namespace.output()
    assert node.lines()[-1] == "end"
    assert not (runs / "x").exists()
