"""Signals of a terminal, where the kubelet itself must ignore them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kubelet.cluster import Namespace

SHELLS = 'for name in INT QUIT HUP; do sh -c "kill -$name \\$\\$"; echo $?; done 2>/dev/null'
SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
ENDED = "".join(f"{128 + number}\n" for number in SIGNALS)


@pytest.fixture
def ignored() -> Iterator[None]:
    """As in a script's background, and by nohup."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("ignored")
def test_a_container_heeds_what_its_kubelet_ignores(namespace: Namespace) -> None:
    assert namespace.said(SHELLS) == ENDED


@pytest.mark.usefixtures("ignored")
def test_a_command_in_a_container_heeds_what_its_kubelet_ignores(kubectl: Kubectl, pod: str) -> None:
    assert kubectl("exec", pod, "--", "sh", "-c", SHELLS) == ENDED
