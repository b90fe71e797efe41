"""Objects through the official client: create, read, change, delete, list."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.emulator.kube.serving import ServerThread, api_client, eventually, job_body, pod_body


def status_of(error: pytest.ExceptionInfo[ApiException]) -> dict[str, Any]:
    """Return the Status that a refusal carries."""
    status: dict[str, Any] = json.loads(error.value.body)
    assert status["kind"] == "Status"
    assert status["code"] == error.value.status
    return status


def test_a_created_object_can_be_read_changed_and_deleted(core: Any, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    changed = core.patch_namespaced_config_map("a", namespace, {"data": {"k": "w"}})
    assert int(changed.metadata.resource_version) > int(made.metadata.resource_version)
    assert core.read_namespaced_config_map("a", namespace).data == {"k": "w"}
    core.delete_namespaced_config_map("a", namespace)
    with pytest.raises(ApiException) as error:
        core.read_namespaced_config_map("a", namespace)
    assert status_of(error)["details"] == {"name": "a", "kind": "configmaps"}


def test_an_object_that_exists_is_not_created_again(core: Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    with pytest.raises(ApiException) as error:
        core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    assert (error.value.status, status_of(error)["reason"]) == (409, "AlreadyExists")


def test_an_update_with_a_stale_version_is_a_conflict(core: Any, namespace: str) -> None:
    stale = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})
    stale.data = {"k": "3"}
    with pytest.raises(ApiException) as error:
        core.replace_namespaced_config_map("a", namespace, stale)
    assert (error.value.status, status_of(error)["reason"]) == (409, "Conflict")


def test_an_update_that_changes_nothing_makes_no_new_version(core: Any, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    same = core.patch_namespaced_config_map("a", namespace, {"data": {"k": "1"}})
    assert same.metadata.resource_version == made.metadata.resource_version


def test_names_can_be_generated(core: Any, namespace: str) -> None:
    names = {
        core.create_namespaced_config_map(namespace, {"metadata": {"generateName": "a-"}}).metadata.name
        for _ in range(3)
    }
    assert len(names) == 3
    assert all(name.startswith("a-") and len(name) == 7 for name in names)


def test_a_dry_run_stores_nothing(core: Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}}, dry_run="All")
    with pytest.raises(ApiException) as error:
        core.read_namespaced_config_map("a", namespace)
    assert error.value.status == 404


def test_an_object_needs_its_namespace(core: Any, namespace: str) -> None:
    with pytest.raises(ApiException) as error:
        core.create_namespaced_config_map(f"{namespace}-none", {"metadata": {"name": "a"}})
    assert status_of(error)["message"] == f'namespaces "{namespace}-none" not found'


def test_an_object_of_the_cluster_has_no_namespace(core: Any, namespace: str) -> None:
    spec = {"hostPath": {"path": "/x"}, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    meta = {"name": namespace, "namespace": "default"}
    made = core.create_persistent_volume({"metadata": meta, "spec": spec})
    changed = core.replace_persistent_volume(namespace, {"metadata": meta | {"labels": {"a": "b"}}, "spec": spec})
    assert [each.metadata.namespace for each in (made, changed)] == [None, None]


def test_lists_are_selected_by_labels_and_fields(core: Any, namespace: str) -> None:
    for name, app in (("a", "x"), ("b", "x"), ("c", "y")):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name, "labels": {"app": app}}})

    def names(**selectors: str) -> list[str]:
        return [item.metadata.name for item in core.list_namespaced_config_map(namespace, **selectors).items]

    assert names(label_selector="app=x") == ["a", "b"]
    assert names(label_selector="app in (y, z)") == ["c"]
    assert names(label_selector="app", field_selector="metadata.name!=a") == ["b", "c"]
    assert names(label_selector="app!=x,app") == ["c"]


def test_a_paged_list_shows_the_cluster_as_it_was_at_its_first_page(core: Any, namespace: str) -> None:
    for name in "abcd":
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name}})
    first = core.list_namespaced_config_map(namespace, limit=2)
    core.delete_namespaced_config_map("d", namespace)
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "ca"}})
    rest = core.list_namespaced_config_map(namespace, _continue=first.metadata._continue)
    assert [item.metadata.name for item in first.items] == ["a", "b"]
    assert [item.metadata.name for item in rest.items] == ["c", "d", "kube-root-ca.crt"]
    assert first.metadata.remaining_item_count == 3


def test_a_pod_gets_the_defaults_of_kubernetes(core: Any, namespace: str) -> None:
    pod = core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    assert pod.status.phase == "Pending"
    assert pod.spec.termination_grace_period_seconds == 30
    assert pod.spec.service_account_name == "default"
    assert pod.spec.containers[0].image_pull_policy == "IfNotPresent"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"containers": []}, "spec.containers"),
        ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
        ({"containers": [{"name": "Bad_Name", "image": "i"}]}, "spec.containers[0].name"),
        ({"containers": [{"name": "c"}]}, "spec.containers[0].image"),
    ],
    ids=["no containers", "restart policy", "container name", "no image"],
)
def test_a_wrong_pod_is_refused_by_field(core: Any, namespace: str, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiException) as error:
        core.create_namespaced_pod(namespace, pod_body("a", **spec))
    status = status_of(error)
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in status["details"]["causes"]] == [field]


def test_owners_and_finalizers_must_be_named_in_full(core: Any, namespace: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": ""}
    meta = {"name": "a", "ownerReferences": [owner], "finalizers": ["nonsense"]}
    with pytest.raises(ApiException) as error:
        core.create_namespaced_config_map(namespace, {"metadata": meta})
    fields = [cause["field"] for cause in status_of(error)["details"]["causes"]]
    assert fields == ["metadata.ownerReferences.name", "metadata.ownerReferences.uid", "metadata.finalizers[0]"]


def test_most_of_a_pods_spec_cannot_change(core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    core.patch_namespaced_pod("a", namespace, {"spec": {"containers": [{"name": "main", "image": "other"}]}})
    with pytest.raises(ApiException) as error:
        core.patch_namespaced_pod("a", namespace, {"spec": {"nodeName": "elsewhere"}})
    assert error.value.status == 422


def test_a_write_to_the_status_changes_nothing_else(core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod_body("a", schedulerName="nobody"))
    patch = {"status": {"phase": "Running"}, "spec": {"activeDeadlineSeconds": 5}}
    changed = core.patch_namespaced_pod_status("a", namespace, patch)
    assert (changed.status.phase, changed.spec.active_deadline_seconds) == ("Running", None)
    unchanged = core.patch_namespaced_pod("a", namespace, {"status": {"phase": "Failed"}})
    assert unchanged.status.phase == "Running"


def test_a_deleted_collection_is_gone(core: Any, namespace: str) -> None:
    for name in "ab":
        core.create_namespaced_pod(namespace, pod_body(name, schedulerName="nobody"))
    core.delete_collection_namespaced_pod(namespace)
    assert core.list_namespaced_pod(namespace).items == []


def test_options_in_the_body_of_a_deletion_are_all_its_options(batch: Any, namespace: str) -> None:
    batch.create_namespaced_job(namespace, job_body("a", suspend=True))
    background = {"propagationPolicy": "Background"}
    batch.delete_namespaced_job("a", namespace, body=background, dry_run="All", propagation_policy="Foreground")
    assert eventually(lambda: not batch.list_namespaced_job(namespace).items)


def test_a_secret_is_written_as_text_and_read_as_base64(core: Any, namespace: str) -> None:
    body = {"metadata": {"name": "a"}, "stringData": {"k": "v"}}
    assert core.create_namespaced_secret(namespace, body).data == {"k": "dg=="}


def test_a_namespace_goes_with_all_it_holds(core: Any, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "free"}})
    held = {"metadata": {"name": "held", "finalizers": ["example.org/f"]}}
    core.create_namespaced_config_map(namespace, held)
    core.delete_namespace(namespace)
    assert core.read_namespace(namespace).status.phase == "Terminating"
    eventually(lambda: [c.metadata.name for c in core.list_namespaced_config_map(namespace).items] == ["held"])
    with pytest.raises(ApiException) as error:
        core.create_namespaced_config_map(namespace, {"metadata": {"name": "late"}})
    assert status_of(error)["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    core.patch_namespaced_config_map("held", namespace, [{"op": "remove", "path": "/metadata/finalizers"}])
    eventually(lambda: namespace not in [n.metadata.name for n in core.list_namespace().items])


def test_the_version_is_told_with_and_without_a_slash(api: Any) -> None:
    assert client.VersionApi(api).get_code().git_version.startswith("v1.")


def test_without_the_right_token_nothing_is_told(server: ServerThread) -> None:
    for token, code in (("", 403), ("wrong", 401), ("a-weak-token", 403)):
        with api_client(server.url, token) as stranger, pytest.raises(ApiException) as error:
            client.CoreV1Api(stranger).list_namespaced_secret("default")
        stranger.rest_client.pool_manager.clear()
        assert status_of(error)["code"] == code
        assert "items" not in error.value.body
