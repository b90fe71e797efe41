"""What containers have done at their begin and at their end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from emulator.kubelet.runs import Record
from tests.emulator.kubelet.cluster import Namespace, eventually

GENTLE = "trap 'cat ~/hooked; echo over; exit' TERM; echo up; while :; do sleep 0.02; done"
FAILS = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}


def shell(script: str) -> dict[str, Any]:
    return {"exec": {"command": ["sh", "-c", script]}}


@pytest.fixture
def asked() -> Iterator[tuple[int, list[str]]]:
    """The port of a server, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, paths
        server.shutdown()
        thread.join()


def up(namespace: Namespace) -> None:
    namespace.wait(lambda pod: pod["status"]["phase"] == "Running" and namespace.output() == "up\n")


def test_a_container_is_not_running_before_its_hook_is_done(namespace: Namespace) -> None:
    """The hook waits for what the container does, and the container for what the hook does."""
    hook = shell("until test -e ~/begun; do sleep 0.02; done; sleep 0.3; touch ~/hooked")
    script = "touch ~/begun; until test -e ~/hooked; do sleep 0.02; done; echo both; sleep 600"
    namespace.run(script, lifecycle={"postStart": hook})
    namespace.event("Started")
    assert namespace.pod()["status"]["phase"] == "Pending"
    namespace.phase("Running")
    eventually(lambda: namespace.output() == "both\n")


def test_a_container_whose_hook_fails_at_its_begin_ends(namespace: Namespace) -> None:
    namespace.run("sleep 600", lifecycle={"postStart": shell("echo secret >&2; exit 1")})
    pod = namespace.phase("Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] != 0
    assert namespace.event("FailedPostStartHook") == "PostStartHook failed"
    assert ("Killing", "FailedPostStartHook") in namespace.events()
    assert "secret" not in str(namespace.events())


def test_a_container_that_ends_before_its_hook_has_ended(namespace: Namespace) -> None:
    namespace.run("exit 4", lifecycle={"postStart": {"sleep": {"seconds": 600}}})
    pod = namespace.phase("Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 4


def test_a_hook_may_ask_an_address(namespace: Namespace, asked: tuple[int, list[str]]) -> None:
    port, paths = asked
    hooks = {
        kind: {"httpGet": {"host": "127.0.0.1", "port": port, "path": f"/{kind}"}} for kind in ("postStart", "preStop")
    }
    namespace.run(GENTLE, lifecycle=hooks)
    up(namespace)
    assert paths == ["/postStart"]
    namespace.delete()
    namespace.gone()
    assert paths == ["/postStart", "/preStop"]


def test_a_container_is_asked_to_end_after_its_hook(namespace: Namespace) -> None:
    """Also one that its probe gave up."""
    hook = shell("sleep 0.3; echo hooked > ~/hooked")
    namespace.run(GENTLE, lifecycle={"preStop": hook}, livenessProbe=FAILS)
    namespace.phase("Succeeded", "Failed")
    assert [line for line in namespace.output().splitlines() if line in ("up", "hooked", "over")] == [
        *("up", "hooked", "over")
    ]


def test_a_hook_that_fails_at_the_end_is_told_and_changes_nothing(namespace: Namespace) -> None:
    namespace.run(GENTLE, lifecycle={"preStop": shell("exit 1")}, livenessProbe=FAILS)
    namespace.phase("Succeeded", "Failed")
    assert namespace.event("FailedPreStopHook") == "PreStopHook failed"
    assert namespace.output().splitlines()[-1] == "over"


def test_a_hook_that_takes_all_the_time_leaves_a_moment_to_the_container(namespace: Namespace) -> None:
    hook = shell("touch ~/hooked; sleep 600")
    namespace.run(GENTLE, lifecycle={"preStop": hook}, livenessProbe=FAILS, terminationGracePeriodSeconds=1)
    namespace.phase("Succeeded", "Failed")
    assert namespace.event("FailedPreStopHook") == "PreStopHook failed"
    assert namespace.output().splitlines()[-1] == "over"


def test_a_deaf_container_ends_after_its_hook_too(namespace: Namespace) -> None:
    deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    namespace.run(deaf, lifecycle={"preStop": {"sleep": {"seconds": 60}}}, terminationGracePeriodSeconds=1)
    up(namespace)
    namespace.delete()
    namespace.gone()


def test_who_is_deleted_at_once_has_no_hook(namespace: Namespace) -> None:
    """Also while it runs."""
    namespace.run(GENTLE, lifecycle={"preStop": {"sleep": {"seconds": 60}}}, terminationGracePeriodSeconds=60)
    up(namespace)
    uid = namespace.pod()["metadata"]["uid"]
    run = Record(namespace.cluster.state / "runs" / uid / "main").read()
    assert run is not None and run.main is not None
    namespace.delete()
    namespace.event("Killing")
    assert run.main.alive
    namespace.delete(grace_s=0)
    main = run.main
    eventually(lambda: not main.alive)
