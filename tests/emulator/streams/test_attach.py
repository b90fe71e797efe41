"""What a container says from now on, as kubectl attach shows it."""

from __future__ import annotations

from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kubelet.cluster import Namespace
from tests.emulator.streams.conftest import ROLE

TALK = "echo before; while [ ! -e go ]; do echo on; sleep 0.05; done; echo after; exit 3"


def test_attach_shows_what_comes_until_the_container_ends(kubectl: Kubectl, namespace: Namespace) -> None:
    namespace.run(TALK)
    namespace.phase("Running")
    with kubectl.start("attach", "a") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        # Which is itself cut short by the end of the container.
        with kubectl.start("exec", "a", "--", "touch", "go") as touching:
            touching.communicate(timeout=60)
        said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "after"
    assert process.returncode == 0


def test_attach_needs_the_right_to_create_it(
    kubectl: Kubectl, bobs_kubectl: Kubectl, namespace: Namespace, pod: str
) -> None:
    kubectl("apply", "-f", "-", given=ROLE.format(parts="pods/attach", verbs="[get]"))
    assert 'cannot create resource "pods/attach"' in bobs_kubectl("attach", pod, fails=True)
