"""The cluster as somebody at a terminal meets it, by kubectl and the stack's own kubeconfig."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.e2e.stack import Stack, wait_until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs Debian's package kubernetes-client"),
]


def kubectl(stack: Stack, *arguments: str) -> str:
    command = ["kubectl", "--kubeconfig", str(stack.state / "kubeconfig"), "--namespace", "default", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def container(stack: Stack, pod: str) -> dict[str, Any]:
    status = json.loads(kubectl(stack, "get", "pod", pod, "-o", "json"))["status"]
    return dict((status.get("containerStatuses") or [{"state": {}}])[0]["state"])


def test_the_shell_image_runs_a_command(stack: Stack) -> None:
    image = f"127.0.0.1:{stack.port('registry')}/binderless/shell:latest"
    kubectl(
        stack, "run", "hello", "--image", image, "--restart=Never", "--", "sh", "-c", "echo $((6 * 7)) from $HOSTNAME"
    )
    wait_until(lambda: "terminated" in container(stack, "hello"), patience_s=60, what="the end of the pod")
    assert kubectl(stack, "logs", "hello") == "42 from hello\n"
    kubectl(stack, "delete", "pod", "hello")


def test_an_image_from_elsewhere_is_not_pulled_and_the_reason_is_shown(stack: Stack) -> None:
    kubectl(stack, "run", "foreign", "--image=docker.io/library/nginx:1", "--restart=Never")

    def waits() -> bool:
        state = container(stack, "foreign").get("waiting", {})
        return state.get("reason") == "ImagePullBackOff" and "docker.io is not reachable from here" in state["message"]

    wait_until(waits, patience_s=60, what="the reason why the image cannot be had")
    kubectl(stack, "delete", "pod", "foreign", "--now")
