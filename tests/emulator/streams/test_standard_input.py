"""Containers with an input and a terminal of their own: kubectl and the official library judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.stream import stream

from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kubelet.cluster import PATIENCE_S, SHELL, Namespace, eventually
from tests.emulator.streams.terminal import seated

RUN = ("--image", SHELL, "--restart=Never")
# Sizes and what is typed are not sent in order.
SIZED = "until test \"$(stty size)\" = '{0}'; do sleep 0.02; done; echo it i''s {0}\r"
PROMPT = "If you don't see a command prompt, try pressing enter."


@contextmanager
def attached(core: Any, namespace: Namespace, **options: Any) -> Iterator[Any]:
    """A session of the official library."""
    wanted = {"stdin": True, "stdout": True, "stderr": True, "tty": False, "_preload_content": False} | options
    session = stream(core.connect_get_namespaced_pod_attach, "a", namespace.name, **wanted)
    # The first message tells that we are there.
    session.update(timeout=PATIENCE_S)
    try:
        yield session
    finally:
        session.close()
        session.sock.shutdown()


def until(session: Any, text: str) -> str:
    said = ""
    while text not in said:
        assert session.is_open(), said
        session.update(timeout=PATIENCE_S)
        said += session.read_stdout(timeout=0)
    return said


def test_a_shell_at_a_terminal_is_run_and_removed(kubectl: Kubectl, namespace: Namespace) -> None:
    with seated(kubectl, "run", "-it", "--rm", "a", *RUN, "--", "sh") as seat:
        seat.until(PROMPT)
        seat.type("test -t 2 && : > /dev/tty && echo $TERM ow''n\r")
        seat.until("xterm own\r\n")
        seat.type(SIZED.format("17 91"))
        seat.until("it is 17 91\r\n")
        seat.resize(100, 30)
        seat.type(SIZED.format("30 100"))
        seat.until("it is 30 100\r\n")
        # Its echo, and what it says: only then it can be interrupted.
        seat.type("cat\rtwice\r")
        seat.until("twice\r\n")
        seat.until("twice\r\n")
        seat.type("\x03")
        seat.until("$ ")
        seat.type("echo aft''er\r")
        seat.until("after\r\n")
        seat.type("exit 3\r")
        shown, code = seat.to_the_end()
    assert 'pod "a" deleted' in shown
    assert code == 3
    assert namespace.pod() is None


def test_an_interrupt_reaches_the_command_and_nothing_around_it(kubectl: Kubectl, namespace: Namespace) -> None:
    namespace.run("trap 'echo caught; exit 0' INT; while :; do echo on; sleep 0.1; done", stdin=True, tty=True)
    namespace.phase("Running")
    with seated(kubectl, "attach", "-it", "a") as seat:
        # Only then kubectl leaves such keys to the container.
        seat.until("on\r\n")
        seat.type("\x03")
        assert "caught" in seat.to_the_end()[0]
    namespace.phase("Succeeded")
    eventually(lambda: namespace.output().endswith("caught\r\n"))


def test_what_is_piped_into_run_is_the_whole_input(kubectl: Kubectl, namespace: Namespace) -> None:
    text = "a line\n" * 50_000
    said = kubectl("run", "-i", "--rm", "-q", "a", *RUN, "--", "sh", "-c", "cat; echo end", given=text)
    assert said.startswith(text + "end\n")


def test_a_terminal_is_left_and_taken_over(kubectl: Kubectl, namespace: Namespace) -> None:
    namespace.run(command=["sh"], stdin=True, stdinOnce=True, tty=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    with seated(kubectl, "attach", "-it", "a") as seat:
        seat.until(PROMPT)
        seat.type("x=kept; echo fir''st\r")
        seat.until("first\r\n")
    with seated(kubectl, "attach", "-it", "a") as seat:
        seat.until(PROMPT)
        seat.type("echo is-$x\r")
        seat.until("is-kept\r\n")
    assert namespace.pod()["status"]["phase"] == "Running"


def test_an_input_stays_open_for_the_next(kubectl: Kubectl, namespace: Namespace) -> None:
    namespace.run("while read a; do echo got $a; done; echo end", stdin=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    for word in ("one", "two"):
        kubectl("attach", "-i", "a", given=f"{word}\n")
        eventually(lambda: namespace.output().endswith(f"got {word}\n"))  # noqa: B023
    assert namespace.output() == "got one\ngot two\n"
    assert namespace.pod()["status"]["phase"] == "Running"


def test_an_input_for_one_ends_with_the_first(core: Any, namespace: Namespace) -> None:
    namespace.run("cat; echo end", stdin=True, stdinOnce=True)
    namespace.phase("Running")
    with attached(core, namespace, stdin=False) as silent, attached(core, namespace) as session:
        session.write_stdin("one\n")
        until(session, "one\n")
        until(silent, "one\n")
        assert namespace.pod()["status"]["phase"] == "Running"
    namespace.phase("Succeeded")
    assert namespace.output() == "one\nend\n"


def test_an_input_that_nobody_speaks_to_is_waited_for_and_none_is_empty(namespace: Namespace) -> None:
    namespace.run("read a; echo $?; read a", stdin=True, name="waits", terminationGracePeriodSeconds=0)
    assert namespace.said("read a; echo $?; readlink /proc/self/fd/0") == "1\n/dev/null\n"
    assert namespace.phase("Running", name="waits")
    assert namespace.output("waits") == ""


def test_who_attaches_to_a_container_without_input_only_listens(core: Any, namespace: Namespace) -> None:
    namespace.run("while :; do cat; echo out; echo err >&2; sleep 0.05; done", terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    with attached(core, namespace) as session:
        session.write_stdin("nobody hears this\n")
        assert "nobody" not in until(session, "out\n")
        eventually(lambda: session.peek_stderr(timeout=1))
        assert set(session.read_stderr().split()) == {"err"}


def test_the_library_sits_at_a_terminal(core: Any, namespace: Namespace) -> None:
    namespace.run(command=["sh"], stdin=True, tty=True, terminationGracePeriodSeconds=0)
    namespace.phase("Running")
    with attached(core, namespace, tty=True, stderr=False) as session:
        session.write_channel(4, json.dumps({"Width": 91, "Height": 17}))
        session.write_stdin("stty size; echo to-err''or >&2\n")
        said = until(session, "to-error\r\n")
        assert "17 91\r\n" in said
        session.write_stdin("exit\n")
        session.run_forever(timeout=PATIENCE_S)
    namespace.phase("Succeeded")
    assert "17 91\r\n" in namespace.output()


@pytest.mark.parametrize("tty", [False, True])
def test_a_command_that_is_not_there_is_a_start_error_with_an_input_too(namespace: Namespace, tty: bool) -> None:
    namespace.run(command=["no-such-command"], stdin=True, tty=tty)
    ended = namespace.phase("Failed")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["reason"] == "StartError"
    assert "no-such-command" in ended["message"]
    assert "No such file" in ended["message"]


def test_all_that_is_said_before_the_end_of_a_terminal_is_shown_and_kept(core: Any, namespace: Namespace) -> None:
    namespace.run("read a; seq 20000", stdin=True, tty=True)
    namespace.phase("Running")
    with attached(core, namespace, tty=True, stderr=False) as session:
        session.write_stdin("go\n")
        session.run_forever(timeout=PATIENCE_S)
        numbers = session.read_stdout().split()[1:]
    assert numbers == [str(number + 1) for number in range(20000)]
    namespace.phase("Succeeded")
    assert namespace.output().split()[1:] == numbers
