"""kubectl reads: the one from npm, whose version the server follows, and the machine's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import WEAK_TOKEN, ServerThread, eventually, job_body, pod_body

READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bob}
subjects: [{kind: User, name: bob}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
"""


def test_get_prints_the_columns_of_kubernetes(kubectl: Kubectl, running_pod: str) -> None:
    header, line = kubectl("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert line.split()[:4] == ["a", "1/1", "Running", "0"]
    wide = kubectl("get", "po", "-o", "wide").splitlines()[1]
    assert "127.77.0.1" in wide


def test_get_has_all_outputs(kubectl: Kubectl, running_pod: str) -> None:
    def get(output: str) -> str:
        return kubectl("get", "pod", "a", "-o", output)

    assert get("name") == "pod/a\n"
    assert get("jsonpath={.status.podIP}") == "127.77.0.1"
    assert get("go-template={{.metadata.name}}") == "a"
    assert get("custom-columns=NAME:.metadata.name,PHASE:.status.phase").split() == ["NAME", "PHASE", "a", "Running"]
    assert json.loads(get("json"))["metadata"]["name"] == "a"
    assert "\nkind: Pod\n" in get("yaml")
    assert kubectl("get", "pods", "--show-labels", "--no-headers").split()[-1] == "<none>"


def test_get_all_shows_what_people_run(kubectl: Kubectl, core: Any, batch: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    core.create_namespaced_service(namespace, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    batch.create_namespaced_job(namespace, job_body("j", suspend=True))
    names = [line.split()[0] for line in kubectl("get", "all", "--no-headers").splitlines() if line]
    assert names == ["pod/a", "service/s", "job.batch/j"]


def test_get_selects_sorts_and_looks_everywhere(kubectl: Kubectl, core: Any, namespace: str) -> None:
    for name, tier in (("b", "x"), ("a", "x"), ("c", "y")):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name, "labels": {"tier": tier}}})
    assert kubectl("get", "cm", "-l", "tier in (x)", "-o", "name", "--sort-by=.metadata.name").split() == [
        "configmap/a",
        "configmap/b",
    ]
    assert kubectl("get", "cm", "--field-selector=metadata.name=c", "-o", "name") == "configmap/c\n"
    assert namespace in kubectl("get", "cm", "-A", "-l", "tier=y")
    assert kubectl("get", "cm", "--chunk-size=2", "-o", "name").count("configmap/") == 4


def test_get_with_watch_prints_changes(
    kubectl: Kubectl, kubelet: FakeKubelet, namespace: str, running_pod: str
) -> None:
    with kubectl.start("get", "pods", "-w") as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(2)]
        kubelet.finish(namespace, running_pod)
        changed = process.stdout.readline().split()
        process.terminate()
    assert seen[1].split()[2] == "Running"
    assert changed[:3] == ["a", "0/1", "Completed"]


def test_a_kind_that_is_not_there_is_refused(kubectl: Kubectl) -> None:
    assert 'the server doesn\'t have a resource type "deployments"' in kubectl("get", "deployments", fails=True)


def test_describe_shows_a_pod_with_its_events(kubectl: Kubectl, running_pod: str) -> None:
    text = kubectl("describe", "pod", "a")
    assert "Image:" in text
    assert "Successfully assigned" in text


@pytest.mark.parametrize("kind", ["node", "job", "service", "configmap", "secret", "sa", "namespace", "role", "sc"])
def test_describe_knows_every_kind(kubectl: Kubectl, kubelet: FakeKubelet, batch: Any, core: Any, kind: str) -> None:
    batch.create_namespaced_job(kubectl.namespace, job_body("j", suspend=True))
    core.create_namespaced_service(kubectl.namespace, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    core.create_namespaced_secret(kubectl.namespace, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    kubectl("create", "-f", "-", given=READER)
    assert "Name:" in kubectl("describe", kind)


def test_logs_are_printed_and_followed(kubectl: Kubectl, kubelet: FakeKubelet, running_pod: str) -> None:
    assert kubectl("logs", "a") == "one\ntwo\n"
    assert kubectl("logs", "a", "--tail=1", "--timestamps", "-c", "main") == "one\ntwo\n"
    assert {"tailLines=1", "timestamps=true"} <= set(kubelet.requests[-1][0].partition("?")[2].split("&"))
    with kubectl.start("logs", "-f", "a") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        kubelet.follow_until.set()
        rest = process.stdout.read()
    assert first == "one\n"
    assert rest.endswith("last\n")
    assert process.returncode == 0


def test_logs_of_the_run_before(
    kubectl: Kubectl, kubelet: FakeKubelet, core: Any, namespace: str, running_pod: str
) -> None:
    assert "previous terminated container" in kubectl("logs", "a", "--previous", fails=True)
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    status = {"name": "main", "ready": True, "restartCount": 1, "image": "", "imageID": "", "state": {"running": {}}}
    body = {"status": {"containerStatuses": [status | {"lastState": ended}]}}
    core.patch_namespaced_pod_status(running_pod, namespace, body)
    assert kubectl("logs", "a", "--previous") == "one\ntwo\n"
    assert "previous=true" in kubelet.requests[-1][0]


def test_the_server_is_discovered(kubectl: Kubectl) -> None:
    assert "Server Version: v1.31" in kubectl("version")
    resources = kubectl("api-resources")
    assert all(name in resources for name in ("pods", "jobs", "rolebindings", "persistentvolumeclaims"))
    assert "batch/v1" in kubectl("api-versions").split()
    assert "control plane" in kubectl("cluster-info")


def test_explain_tells_the_fields_of_a_kind(kubectl: Kubectl) -> None:
    text = kubectl("explain", "pod.spec.containers")
    assert "image\t<string>" in text
    assert "env\t<[]EnvVar>" in text
    assert "backoffLimit\t<integer>" in kubectl("explain", "job.spec", "--recursive")
    assert 'field "nonsense" does not exist' in kubectl("explain", "pod.nonsense", fails=True)


def test_auth_tells_who_one_is_and_may_do(kubectl: Kubectl, server: ServerThread) -> None:
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert "system:masters" in kubectl("auth", "whoami")
    assert "*.*" in kubectl("auth", "can-i", "--list")
    bob = Kubectl(kubectl.program, kubectl.folder, server, kubectl.namespace, WEAK_TOKEN)
    assert "Forbidden" in bob("get", "pods", fails=True)


def test_a_role_gives_a_user_what_it_says(kubectl: Kubectl, server: ServerThread) -> None:
    kubectl("create", "-f", "-", given=READER)
    admins = kubectl.environment
    bob = Kubectl(kubectl.program, kubectl.folder, server, kubectl.namespace, WEAK_TOKEN)
    assert admins == bob.environment
    assert "kube-root-ca.crt" in eventually(lambda: bob("get", "cm"))
    assert bob("auth", "can-i", "list", "configmaps") == "yes\n"
    assert "Forbidden" in bob("get", "secrets", fails=True)
    assert "Forbidden" in bob("get", "cm", "-n", "kube-system", fails=True)


def test_events_are_listed(kubectl: Kubectl, running_pod: str) -> None:
    assert "Scheduled" in kubectl("events")
    assert "Scheduled" in kubectl("get", "events")
