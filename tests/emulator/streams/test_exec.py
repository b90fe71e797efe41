"""Commands in containers that run: kubectl and the official library judge."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kubelet.cluster import PATIENCE_S, Cluster, Namespace, eventually
from tests.emulator.streams.conftest import ROLE, SHUT_IN, Stage


@contextmanager
def opened(core: Any, namespace: Namespace, *command: str, pod: str = "a", **options: Any) -> Iterator[Any]:
    """A session of the official library."""
    wanted = {"stdout": True, "stderr": True, "stdin": False, "tty": False, "_preload_content": False} | options
    session = stream(core.connect_get_namespaced_pod_exec, pod, namespace.name, command=list(command), **wanted)
    try:
        yield session
    finally:
        session.close()
        # After a farewell of the server the library leaves its socket open.
        session.sock.shutdown()


def run(core: Any, namespace: Namespace, *command: str, **options: Any) -> str:
    """Execute by the official library; return what the command said."""
    with opened(core, namespace, *command, **options) as session:
        session.run_forever(timeout=PATIENCE_S)
        said: str = session.read_all()
    return said


def processes(needle: str) -> list[int]:
    """The processes of this machine whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and needle.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def test_exec_tells_what_a_command_says(kubectl: Kubectl, pod: str) -> None:
    with kubectl.start("exec", pod, "--", "sh", "-c", "echo one; echo two >&2; echo $FROM_IMAGE") as process:
        said = process.communicate(timeout=60)
    assert (*said, process.returncode) == ("one\nyes\n", "two\n", 0)


def test_exec_ends_as_the_command_does(kubectl: Kubectl, pod: str) -> None:
    with kubectl.start("exec", pod, "--", "sh", "-c", "exit 3") as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (3, "command terminated with exit code 3\n")
    with kubectl.start("exec", pod, "--", "sh", "-c", "kill -9 $$") as process:
        process.communicate(timeout=60)
    assert process.returncode == 137


def test_exec_passes_its_input_on_and_ends_it(kubectl: Kubectl, pod: str) -> None:
    text = "a line\n" * 50_000
    assert kubectl("exec", "-i", pod, "--", "sh", "-c", "cat; echo end", given=text) == text + "end\n"


def test_exec_without_input_has_none(kubectl: Kubectl, pod: str) -> None:
    assert kubectl("exec", pod, "--", "sh", "-c", "cat; echo end", given="not passed on") == "end\n"


def test_files_can_be_copied(kubectl: Kubectl, pod: str, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(content := os.urandom(300_000))
    kubectl("cp", str(tmp_path / "sent"), f"{pod}:copied")
    kubectl("cp", f"{pod}:copied", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


def test_a_command_that_is_not_there_is_told(kubectl: Kubectl, pod: str) -> None:
    errors = kubectl("exec", pod, "--", "no-such-command", fails=True)
    assert 'exec: "no-such-command": No such file or directory' in errors


def test_a_pod_that_has_ended_has_no_place_for_a_command(core: Any, namespace: Namespace) -> None:
    namespace.run("true")
    namespace.phase("Succeeded")
    with opened(core, namespace, "true") as session:
        session.run_forever(timeout=PATIENCE_S)
        assert 'container not found ("main")' in json.loads(session.read_channel(3))["message"]


def test_the_library_reads_streams_and_the_exit_code(core: Any, namespace: Namespace, pod: str) -> None:
    assert run(core, namespace, "sh", "-c", "echo one; echo two >&2", stderr=False) == "one\n"
    with opened(core, namespace, "sh", "-c", "read a; echo got $a; exit 5", stdin=True) as session:
        session.write_stdin("this\n")
        session.run_forever(timeout=PATIENCE_S)
        assert (session.read_stdout(), session.returncode) == ("got this\n", 5)


def test_the_library_of_the_fourth_protocol_is_served(core: Any, namespace: Namespace, pod: str) -> None:
    core.api_client.set_default_header("sec-websocket-protocol", "v4.channel.k8s.io")
    with opened(core, namespace, "echo", "one") as session:
        session.run_forever(timeout=PATIENCE_S)
        assert (session.subprotocol, session.read_stdout(), session.returncode) == ("v4.channel.k8s.io", "one\n", 0)


def test_a_terminal_is_one_and_knows_its_size(core: Any, namespace: Namespace, pod: str) -> None:
    with opened(core, namespace, "sh", stdin=True, tty=True, stderr=False) as session:
        session.write_channel(4, json.dumps({"Width": 91, "Height": 17}))
        session.write_stdin("test -t 0 && test -t 2 && stty size; : > /dev/tty && echo ow''n; exit 4\n")
        session.run_forever(timeout=PATIENCE_S)
        said = session.read_stdout()
        assert "17 91\r\n" in said
        assert "own\r\n" in said
        assert session.returncode == 4


def test_much_output_comes_whole(kubectl: Kubectl, pod: str) -> None:
    assert len(kubectl("exec", pod, "--", "sh", "-c", "yes | head -c 5000000")) == 5_000_000


def test_a_long_command_is_not_too_long(kubectl: Kubectl, pod: str) -> None:
    assert kubectl("exec", pod, "--", "echo", "x" * 30_000) == "x" * 30_000 + "\n"


def test_a_command_is_where_the_container_is(core: Any, namespace: Namespace) -> None:
    look = "readlink /proc/self/ns/*; grep -E 'Uid|Gid|Groups|CapEff|CapBnd|NoNewPrivs' /proc/self/status; "
    look += "cat /proc/self/cgroup; id; hostname; env | grep -v ^_ | sort; pwd"
    namespace.run(f"{look}; echo end; sleep 60", terminationGracePeriodSeconds=0, env=[{"name": "A", "value": "b c"}])
    namespace.phase("Running")
    eventually(lambda: namespace.output().endswith("end\n"))
    assert run(core, namespace, "sh", "-c", look) == namespace.output().removesuffix("end\n")


def test_a_client_that_leaves_ends_its_command_and_all_that_it_started(
    kubectl: Kubectl, namespace: Namespace, pod: str
) -> None:
    number = f"9{secrets.randbelow(10**8):08}"
    with kubectl.start("exec", "-i", pod, "--", "sh", "-c", f"(setsid sleep {number} &); sleep {number}") as process:
        eventually(lambda: len(processes(f"sleep\0{number}")) == 2)
        process.kill()
    eventually(lambda: not processes(number))
    assert namespace.pod(pod)["status"]["phase"] == "Running"


def test_what_a_command_leaves_behind_ends_with_the_container(core: Any, namespace: Namespace, pod: str) -> None:
    number = f"9{secrets.randbelow(10**8):08}"
    assert run(core, namespace, "sh", "-c", f"sleep {number} & echo left") == "left\n"
    namespace.delete(pod)
    namespace.gone(pod)
    eventually(lambda: not processes(number))


def test_a_session_ends_with_its_container(core: Any, namespace: Namespace, pod: str) -> None:
    with opened(core, namespace, "cat", stdin=True) as session:
        session.update(timeout=PATIENCE_S)
        namespace.delete(pod)
        session.run_forever(timeout=PATIENCE_S)
        assert session.returncode == 137


@pytest.mark.parametrize("verbs", ["[get, list]", "[create]"])
def test_exec_needs_the_right_to_create_it(
    verbs: str, kubectl: Kubectl, bobs_kubectl: Kubectl, namespace: Namespace, pod: str
) -> None:
    kubectl("apply", "-f", "-", given=ROLE.format(parts="pods/exec", verbs=verbs))
    may = "create" in verbs
    said = bobs_kubectl("exec", pod, "--", "echo", "in", fails=not may)
    assert said == "in\n" if may else 'cannot create resource "pods/exec"' in said


def test_rights_end_at_the_namespace(
    kubectl: Kubectl, bobs_kubectl: Kubectl, cluster: Cluster, namespace: Namespace, pod: str
) -> None:
    kubectl("apply", "-f", "-", given=ROLE.format(parts="pods/exec", verbs="[create]"))
    other = cluster.namespace()
    other.run("sleep 60", terminationGracePeriodSeconds=0)
    other.phase("Running")
    refused = bobs_kubectl("exec", "-n", other.name, "a", "--", "true", fails=True)
    assert "is forbidden" in refused


@pytest.mark.parametrize(
    "container", ["../../x/a/main", "main/../../../healthz", "main?command=id", "main%2f..", "nobody", "main\0"]
)
def test_the_name_of_a_container_is_only_a_name(core: Any, namespace: Namespace, pod: str, container: str) -> None:
    with pytest.raises(ApiException, match="is not valid for pod a"):
        run(core, namespace, "true", container=container)


@SHUT_IN
def test_nothing_of_the_machine_comes_with_a_command(stage: Stage, core: Any, namespace: Namespace, pod: str) -> None:
    look = (
        "ls /proc/self/fd | wc -l; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; ls -l /proc/$PPID/exe /proc/$PPID/fd 2>&1"
    )
    said = run(core, namespace, "sh", "-c", look)
    assert said.splitlines()[0] == "4"
    assert "Permission denied" in said
    assert "FROM_IMAGE" not in said
