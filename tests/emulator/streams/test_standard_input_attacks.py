"""What a client or a container tries with standard input, and must not get."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from websocket import WebSocketTimeoutException, create_connection

from emulator.kubelet.runs import Record
from emulator.kubelet.visitors import MOST_VISITORS
from tests.emulator.kubelet.cluster import TOKEN, Namespace, eventually
from tests.emulator.streams.conftest import SHUT_IN, Stage

MEGABYTE = 2**20


def connect(stage: Stage, namespace: Namespace, *, timeout_s: float = 20, tty: bool = False) -> Any:
    """A client that asks to be attached to the pod."""
    query = "stdin=true&stdout=true" + ("&tty=true" if tty else "&stderr=true")
    url = f"{stage.server.url.replace('http', 'ws')}/api/v1/namespaces/{namespace.name}/pods/a/attach?{query}"
    header = {"Authorization": f"Bearer {TOKEN}"}
    return create_connection(url, header=header, subprotocols=["v5.channel.k8s.io"], timeout=timeout_s)


def attached(stage: Stage, namespace: Namespace, **options: Any) -> Any:
    """A client that is attached to the pod, and knows that it is."""
    connection = connect(stage, namespace, **options)
    assert connection.recv() == b"\1"
    return connection


def admitted(stage: Stage, namespace: Namespace) -> bool:
    with closing(connect(stage, namespace)) as connection:
        return bool(connection.recv() == b"\1")


def record(stage: Stage, namespace: Namespace) -> Record:
    return Record(stage.cluster.state / "runs" / namespace.pod()["metadata"]["uid"] / "main")


def memory_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def around(stage: Stage, namespace: Namespace) -> int:
    """The outermost process of the container."""
    run = record(stage, namespace).read()
    assert run is not None and run.shim is not None
    return run.shim.pid


def test_who_comes_when_too_many_are_attached_is_told_so(stage: Stage, namespace: Namespace) -> None:
    namespace.run("sleep 600", stdin=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    with ExitStack() as stack:
        for _ in range(MOST_VISITORS):
            stack.enter_context(closing(attached(stage, namespace)))
        late = stack.enter_context(closing(connect(stage, namespace)))
        told = json.loads(late.recv()[1:])
        assert told["message"].endswith('container "main" has 16 clients attached, and takes no more')
    # Those have left, so there is room again.
    eventually(lambda: admitted(stage, namespace))


def test_who_sends_without_end_to_one_who_never_reads_has_to_wait(stage: Stage, namespace: Namespace) -> None:
    namespace.run("while :; do echo on; sleep 0.05; done", stdin=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    shim, sent = around(stage, namespace), 0
    before, ours = memory_bytes(shim), memory_bytes(os.getpid())
    flood = attached(stage, namespace, timeout_s=1)
    with pytest.raises(WebSocketTimeoutException):
        while sent < 100 * MEGABYTE:
            flood.send_binary(b"\0" + bytes(MEGABYTE))
            sent += MEGABYTE
    assert sent < 50 * MEGABYTE
    assert memory_bytes(shim) - before < 2 * MEGABYTE
    assert memory_bytes(os.getpid()) - ours < 50 * MEGABYTE
    # Nobody else waits for that.
    other = attached(stage, namespace)
    assert other.recv() == b"\1on\n"
    other.close()
    flood.shutdown()
    eventually(lambda: len(list(Path(f"/proc/{shim}/fd").iterdir())) < 20)


def test_who_does_not_listen_holds_nobody_up_and_is_told_what_it_missed(stage: Stage, namespace: Namespace) -> None:
    namespace.run(
        "read a; head -c 40000000 /dev/zero | tr '\\0' x; echo; echo over; sleep 60",
        stdin=True,
        terminationGracePeriodSeconds=0,
    )
    namespace.phase("Running")
    shim = around(stage, namespace)
    before = memory_bytes(shim)
    with closing(attached(stage, namespace, timeout_s=60)) as deaf:
        deaf.send_binary(b"\0go\n")
        # The container has said all of it, long before it ends.
        eventually(lambda: namespace.output(tailLines=1) == "over\n", patience_s=50)
        assert memory_bytes(shim) - before < 4 * MEGABYTE
        said = b""
        while b"they are in the log" not in said:
            message = deaf.recv()
            said = message if message[0] == 2 else b""


@pytest.mark.parametrize(
    "size", ['{"Width": 99999999, "Height": -1}', "{}", "[]", "x", '{"Width": 65536, "Height": 1}']
)
def test_a_size_that_is_none_does_no_harm(stage: Stage, namespace: Namespace, size: str) -> None:
    namespace.run(command=["cat"], stdin=True, tty=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    connection = attached(stage, namespace, tty=True)
    for message in (b"\4" + size.encode(), b"", b"\xff", b"\x10\1", b"\0still here\n"):
        connection.send_binary(message)
    said = b""
    while b"still here" not in said:
        said += connection.recv()[1:]
    connection.close()


def test_who_only_listens_cannot_speak(stage: Stage, namespace: Namespace) -> None:
    namespace.run("read a; echo heard $a; sleep 60", stdin=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    url = f"{stage.server.url.replace('http', 'ws')}/api/v1/namespaces/{namespace.name}/pods/a/attach?stdout=true"
    header = {"Authorization": f"Bearer {TOKEN}"}
    silent = create_connection(url, header=header, subprotocols=["v5.channel.k8s.io"], timeout=20)
    silent.recv()
    silent.send_binary(b"\0silent\n")
    silent.send_binary(b"\xff\0")
    speaker = attached(stage, namespace)
    speaker.send_binary(b"\0speaker\n")
    assert silent.recv() == b"\1heard speaker\n"
    silent.close()
    speaker.close()


def test_no_other_pod_finds_or_opens_the_way_to_an_input(stage: Stage, namespace: Namespace) -> None:
    if os.geteuid() != 0 and stage.cluster.runtime is None:
        pytest.skip("needs an account of the containers' own")
    namespace.run("read a; echo $a; sleep 60", stdin=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    door = record(stage, namespace).door
    assert door.is_socket()
    look = f"ls {door} 2> /dev/null; ls {door.parent} 2> /dev/null; true 2> /dev/null > {door} && echo opened; "
    look += "grep -a door /proc/net/unix | grep -v proc/self/fd; grep -a main.door /proc/self/mountinfo; echo end"
    assert namespace.said(look, name="b", stdin=True) == "end\n"
    client = attached(stage, namespace)
    client.send_binary(b"\0ours\n")
    assert client.recv() == b"\1ours\n"
    client.close()


@SHUT_IN
def test_a_container_has_nothing_of_the_machine_with_its_terminal(stage: Stage, namespace: Namespace) -> None:
    script = (
        "ls /proc/self/fd | wc -l; ls /dev/pts; stat -c %F /dev/console; ls -l /proc/1/fd 2>&1 | grep -c door; id -u"
    )
    said = namespace.said(script, stdin=True, tty=True).split("\r\n")
    assert said[:4] == ["4", "ptmx", "character special file", "0"]


def test_who_is_attached_leaves_no_trace_when_the_pod_has_gone(stage: Stage, namespace: Namespace) -> None:
    namespace.run("read a", stdin=True, tty=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    door = record(stage, namespace).door
    client = attached(stage, namespace, tty=True)
    namespace.delete()
    message = b"\0"
    while message[0] != 3:
        message = client.recv()
    assert json.loads(message[1:])["status"] == "Success"
    client.shutdown()
    namespace.gone()
    eventually(lambda: not door.parent.exists())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives terminals away")
def test_the_terminal_of_whoever_starts_the_kubelet_stays_theirs() -> None:
    terminal, inner = os.openpty()
    try:
        script = "from emulator.kubelet.process import find_runtime; find_runtime()"
        subprocess.run([sys.executable, "-c", script], stdin=inner, check=True)
        assert os.fstat(inner).st_uid == os.geteuid()
    finally:
        os.close(terminal)
        os.close(inner)
