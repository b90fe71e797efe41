"""kubectl writes: the one from npm, whose version the server follows, and the machine's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.kube.fake_kubelet import FakeKubelet
from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import eventually, job_body, pod_body


def test_apply_creates_then_changes_then_does_nothing(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", kubectl.manifest("v")) == "configmap/a created\nservice/a created\n"
    assert kubectl("apply", "-f", kubectl.manifest("w")) == "configmap/a configured\nservice/a unchanged\n"
    assert kubectl("apply", "-f", kubectl.manifest("w")) == "configmap/a unchanged\nservice/a unchanged\n"
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "w"


def test_apply_refuses_a_field_that_does_not_exist(kubectl: Kubectl) -> None:
    manifest = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "nonsense": 1}'
    assert 'unknown field "nonsense"' in kubectl("apply", "-f", "-", given=manifest, fails=True)
    assert kubectl("apply", "--validate=false", "-f", "-", given=manifest) == "configmap/a created\n"


def test_apply_with_prune_takes_away_what_is_no_longer_asked_for(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", kubectl.manifest("v"))
    kept = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "labels": {"of": "test"}}}'
    arguments = ("--prune", "-l", "of=test", "--prune-allowlist=core/v1/ConfigMap", "-f", "-")
    assert "configmap/a pruned" in kubectl("apply", *arguments, given=kept)


def test_server_side_apply_creates_and_changes(kubectl: Kubectl) -> None:
    for value in ("v", "w"):
        kubectl("apply", "--server-side", "-f", kubectl.manifest(value))
        assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == value


def test_server_side_apply_of_two_managers_conflicts(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "--field-manager=one", "-f", kubectl.manifest("v"))
    two = ("apply", "--server-side", "--field-manager=two", "-f", kubectl.manifest("w"))
    assert 'conflict with "one"' in kubectl(*two, fails=True)
    kubectl(*two, "--force-conflicts")
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "w"


def test_server_side_apply_takes_over_what_apply_wrote(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", kubectl.manifest("v"))
    other = ("apply", "--server-side", "--field-manager=other", "-f", kubectl.manifest("w"))
    assert 'conflict with "before-first-apply"' in kubectl(*other, fails=True)
    kubectl("apply", "--server-side", "-f", kubectl.manifest("w"))
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "w"
    assert json.loads(kubectl("apply", "view-last-applied", "cm", "a", "-o", "json"))["data"] == {"k": "w"}


def test_server_side_apply_does_not_take_over_what_others_wrote(kubectl: Kubectl) -> None:
    kubectl("create", "-f", kubectl.manifest("v"))
    refused = kubectl("apply", "--server-side", "-f", kubectl.manifest("w"), fails=True)
    assert 'conflict with "before-first-apply"' in refused


def test_diff_shows_what_an_apply_would_change(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", kubectl.manifest("v"))
    with kubectl.start("diff", "-f", kubectl.manifest("w")) as process:
        out, _errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "-  k: v" in out
    assert "+  k: w" in out


def test_label_annotate_and_patch_change_an_object(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", kubectl.manifest("v"))
    kubectl("label", "cm", "a", "x=y")
    kubectl("annotate", "cm", "a", "n=m")
    kubectl("patch", "cm", "a", "-p", '{"data":{"k":"z"}}')
    assert kubectl("get", "cm", "-l", "x=y", "-o", "jsonpath={.items[0].data.k}") == "z"
    kubectl("patch", "cm", "a", "--type=json", "-p", '[{"op":"replace","path":"/data/k","value":"j"}]')
    kubectl("patch", "cm", "a", "--type=merge", "-p", '{"metadata":{"labels":{"x":null}}}')
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}{.metadata.labels.x}") == "j"


def test_edit_changes_an_object_in_an_editor(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("apply", "-f", kubectl.manifest("before"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/k: before/k: after/" "$1"\n')
    editor.chmod(0o755)
    assert kubectl("edit", "cm", "a", KUBE_EDITOR=str(editor)) == "configmap/a edited\n"
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.k}") == "after"


def test_delete_waits_until_an_object_is_gone(kubectl: Kubectl, core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    assert kubectl("delete", "pod", "a").startswith('pod "a" deleted')
    assert 'pods "a" not found' in kubectl("get", "pod", "a", fails=True)


def test_delete_of_many_by_label(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", kubectl.manifest("v"))
    kubectl("delete", "cm,svc", "-l", "of=test")
    assert kubectl("get", "cm,svc", "-o", "name").split() == ["configmap/kube-root-ca.crt", "service/a"]


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_of_a_job_does_with_its_pods_as_asked(
    kubectl: Kubectl, kubelet: FakeKubelet, core: Any, batch: Any, namespace: str, cascade: str
) -> None:
    template = {"spec": pod_body("x", nodeSelector={"of": "nobody"})["spec"]}
    batch.create_namespaced_job(namespace, job_body("j", template=template))
    eventually(lambda: core.list_namespaced_pod(namespace).items)
    kubectl("delete", "job", "j", f"--cascade={cascade}")
    left = 1 if cascade == "orphan" else 0
    eventually(lambda: len(core.list_namespaced_pod(namespace).items) == left)


def test_wait_sees_conditions_values_and_the_end(
    kubectl: Kubectl, kubelet: FakeKubelet, core: Any, namespace: str, running_pod: str
) -> None:
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "pod/a", "--timeout=10s")
    assert "condition met" in kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/a", "--timeout=10s")
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}})
    with kubectl.start("wait", "--for=delete", "cm/c", "--timeout=10s") as process:
        core.delete_namespaced_config_map("c", namespace)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert "timed out" in kubectl("wait", "--for=condition=Other", "pod/a", "--timeout=1s", fails=True)


def test_run_makes_a_pod(kubectl: Kubectl, core: Any, namespace: str) -> None:
    options = ("--image=example.org/x:1", "--restart=Never", "--env=A=b", "--command")
    kubectl("run", "a", *options, "--", "sh", "-c", "true")
    made = core.read_namespaced_pod("a", namespace).spec
    assert made.containers[0].command == ["sh", "-c", "true"]
    assert made.restart_policy == "Never"


def test_create_reads_files(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", kubectl.manifest("v")) == "configmap/a created\nservice/a created\n"
    assert "already exists" in kubectl("create", "-f", kubectl.manifest("v"), fails=True)
    assert kubectl("replace", "-f", kubectl.manifest("w")) == "configmap/a replaced\nservice/a replaced\n"


def test_create_tries_without_storing(kubectl: Kubectl) -> None:
    assert "(server dry run)" in kubectl("create", "--dry-run=server", "-f", kubectl.manifest("v"))
    assert 'configmaps "a" not found' in kubectl("get", "cm", "a", fails=True)


def test_create_has_short_ways(kubectl: Kubectl, core: Any, batch: Any, namespace: str) -> None:
    # kubectl 1.32 and later send these as protobuf.
    kubectl("create", "configmap", "c", "--from-literal=k=v")
    kubectl("create", "secret", "generic", "s", "--from-literal=k=v")
    kubectl("create", "job", "j", "--image=example.org/x:1", "--", "true")
    kubectl("create", "serviceaccount", "sa")
    kubectl("create", "service", "clusterip", "svc", "--tcp=80:8888")
    kubectl("create", "role", "r", "--verb=get", "--resource=pods")
    assert core.read_namespaced_config_map("c", namespace).data == {"k": "v"}
    assert core.read_namespaced_secret("s", namespace).data == {"k": "dg=="}
    job = batch.read_namespaced_job("j", namespace).spec
    assert job.template.spec.containers[0].command == ["true"]
    assert (job.completions, job.template.spec.restart_policy) == (1, "Never")
    assert core.read_namespaced_service("svc", namespace).spec.ports[0].target_port == 8888


def test_a_node_is_closed_to_new_pods_and_opened(kubectl: Kubectl, kubelet: FakeKubelet) -> None:
    kubectl("cordon", kubelet.name)
    assert "SchedulingDisabled" in kubectl("get", "node", kubelet.name)
    kubectl("uncordon", kubelet.name)
    kubectl("taint", "node", kubelet.name, "k=v:NoSchedule")
    assert "k=v:NoSchedule" in kubectl("describe", "node", kubelet.name)


def test_drain_evicts_what_runs(kubectl: Kubectl, kubelet: FakeKubelet, core: Any, namespace: str) -> None:
    body = pod_body("a", nodeSelector={"of": kubelet.name})
    core.create_namespaced_pod(namespace, body | {"metadata": {"name": "a", "labels": {"drain": namespace}}})
    eventually(lambda: core.read_namespaced_pod("a", namespace).spec.node_name)
    kubelet.finish(namespace, "a")
    drained = kubectl("drain", kubelet.name, "--force", "--timeout=20s", f"--pod-selector=drain={namespace}")
    assert f"pod {namespace}/a evicted" in drained or "pod/a evicted" in drained
