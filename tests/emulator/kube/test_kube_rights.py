"""Who may do what: requests in the name of others, and rights that nobody can give themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.emulator.kube.kubectl import Kubectl
from tests.emulator.kube.serving import WEAK_TOKEN, ServerThread, api_client

GROUP = "rbac.authorization.k8s.io"
BOB = [{"kind": "User", "name": "bob", "apiGroup": GROUP}]


@pytest.fixture
def rbac(api: Any) -> Any:
    return client.RbacAuthorizationV1Api(api)


@pytest.fixture
def weak(server: ServerThread) -> Iterator[Any]:
    """A client of bob, who has no rights but those that a test gives him."""
    with api_client(server.url, WEAK_TOKEN) as made:
        yield made
        made.rest_client.pool_manager.clear()


def rule(group: str, resources: str, *verbs: str, **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": [*verbs]} | more


def reference(role: str) -> dict[str, str]:
    return {"apiGroup": GROUP, "kind": "Role", "name": role}


def give_bob(rbac: Any, namespace: str, *rules: dict[str, Any]) -> None:
    """Let bob do what these rules say in a namespace."""
    rbac.create_namespaced_role(namespace, {"metadata": {"name": "bobs"}, "rules": [*rules]})
    binding = {"metadata": {"name": "bobs"}, "roleRef": reference("bobs"), "subjects": BOB}
    rbac.create_namespaced_role_binding(namespace, binding)


def refusal(error: pytest.ExceptionInfo[ApiException]) -> str:
    assert error.value.status == 403
    return str(json.loads(error.value.body)["message"])


def test_an_admin_can_act_as_somebody_else(npm_kubectl: Kubectl, rbac: Any, namespace: str) -> None:
    give_bob(rbac, namespace, rule("", "configmaps", "get", "list"))
    assert "kube-root-ca.crt" in npm_kubectl("get", "cm", "--as=bob")
    assert 'User "bob" cannot list resource "secrets"' in npm_kubectl("get", "secrets", "--as=bob", fails=True)
    assert 'User "eve" cannot list' in npm_kubectl("get", "cm", "--as=eve", fails=True)
    who = json.loads(npm_kubectl("auth", "whoami", "--as=eve", "--as-group=people", "-o=json"))["status"]["userInfo"]
    assert who == {"username": "eve", "groups": ["people", "system:authenticated"]}
    account = json.loads(npm_kubectl("auth", "whoami", "--as=system:serviceaccount:a:b", "-o=json"))
    groups = ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]
    assert account["status"]["userInfo"]["groups"] == groups


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ({"Impersonate-User": "admin"}, 'User "bob" cannot impersonate resource "users" in API group ""'),
        ({"Impersonate-User": "eve", "Impersonate-Group": "system:masters"}, 'cannot impersonate resource "groups"'),
        ({"Impersonate-User": "system:serviceaccount:a:b"}, 'cannot impersonate resource "serviceaccounts"'),
        ({"Impersonate-User": "eve", "Impersonate-Uid": "1"}, 'cannot impersonate resource "uids"'),
        ({"Impersonate-User": "eve", "Impersonate-Extra-Scope": "x"}, 'cannot impersonate resource "userextras/scope"'),
    ],
    ids=["user", "group", "account", "uid", "extra"],
)
def test_acting_as_somebody_else_is_a_right(
    weak: Any, rbac: Any, namespace: str, headers: dict[str, str], what: str
) -> None:
    one = {"metadata": {"name": namespace}, "rules": [rule("", "users", "impersonate", resourceNames=["eve"])]}
    rbac.create_cluster_role(one)
    role = {"apiGroup": GROUP, "kind": "ClusterRole", "name": namespace}
    rbac.create_cluster_role_binding({"metadata": {"name": namespace}, "roleRef": role, "subjects": BOB})
    weak.default_headers |= headers
    with pytest.raises(ApiException) as error:
        client.CoreV1Api(weak).list_namespaced_config_map(namespace)
    assert what in refusal(error)
    rbac.delete_cluster_role_binding(namespace)


def test_a_change_that_creates_needs_the_right_to_create(weak: Any, rbac: Any, namespace: str) -> None:
    give_bob(rbac, namespace, rule("coordination.k8s.io", "leases", "update", "patch"))
    leases = client.CoordinationV1Api(weak)
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}, "spec": {}}
    with pytest.raises(ApiException) as error:
        leases.replace_namespaced_lease("a", namespace, lease)
    assert 'User "bob" cannot create resource "leases"' in refusal(error)
    with pytest.raises(ApiException) as error:
        apply = {"field_manager": "bob", "_content_type": "application/apply-patch+yaml"}
        leases.patch_namespaced_lease("a", namespace, lease, **apply)
    assert 'User "bob" cannot create resource "leases"' in refusal(error)


def test_who_may_list_one_object_by_name_may_select_it(weak: Any, rbac: Any, namespace: str) -> None:
    give_bob(rbac, namespace, rule("", "configmaps", "list", "watch", "deletecollection", resourceNames=["a"]))
    bobs = client.CoreV1Api(weak)
    assert bobs.list_namespaced_config_map(namespace, field_selector="metadata.name=a").items == []
    watching = {"field_selector": "metadata.name=a", "timeout_seconds": 1}
    assert [*watch.Watch().stream(bobs.list_namespaced_config_map, namespace, **watching)] == []
    for selector in ("metadata.name=b", "metadata.name!=a", "metadata.namespace=a", ""):
        with pytest.raises(ApiException) as error:
            bobs.list_namespaced_config_map(namespace, field_selector=selector)
        assert 'User "bob" cannot list resource "configmaps"' in refusal(error)
    with pytest.raises(ApiException) as error:
        bobs.delete_collection_namespaced_config_map(namespace, field_selector="metadata.name=a")
    assert error.value.status == 403


WRITER = rule(GROUP, "roles rolebindings", "create", "update", "patch")
READS = rule("", "configmaps pods/log", "get", "list")


@pytest.mark.parametrize(
    "more",
    [rule("*", "*", "*"), rule("", "configmaps", "get", "delete"), rule("apps", "configmaps", "get")],
    ids=["everything", "another verb", "another group"],
)
def test_nobody_writes_a_role_with_more_than_they_may(
    weak: Any, rbac: Any, namespace: str, more: dict[str, Any]
) -> None:
    give_bob(rbac, namespace, WRITER, READS)
    bobs = client.RbacAuthorizationV1Api(weak)
    bobs.create_namespaced_role(namespace, {"metadata": {"name": "a"}, "rules": [READS]})
    role = {"metadata": {"name": "a"}, "rules": [READS, more]}
    new = {"metadata": {"name": "b"}, "rules": [READS, more]}
    for write, *arguments in (
        (bobs.create_namespaced_role, namespace, new),
        (bobs.replace_namespaced_role, "b", namespace, new),
        (bobs.patch_namespaced_role, "a", namespace, role),
    ):
        with pytest.raises(ApiException) as error:
            write(*arguments)
        assert "is attempting to grant RBAC permissions not currently held" in refusal(error)


def test_nobody_gives_all_where_they_have_some(weak: Any, rbac: Any, namespace: str) -> None:
    one = rule("", "configmaps", "get", resourceNames=["a"])
    give_bob(rbac, namespace, WRITER, one)
    bobs = client.RbacAuthorizationV1Api(weak)
    bobs.create_namespaced_role(namespace, {"metadata": {"name": "a"}, "rules": [one]})
    with pytest.raises(ApiException) as error:
        bobs.create_namespaced_role(namespace, {"metadata": {"name": "b"}, "rules": [rule("", "configmaps", "get")]})
    assert refusal(error).endswith('{APIGroups:[""], Resources:["configmaps"], Verbs:["get"]}')


def test_nobody_binds_a_role_with_more_than_they_may(weak: Any, rbac: Any, namespace: str) -> None:
    give_bob(rbac, namespace, WRITER, READS)
    bobs = client.RbacAuthorizationV1Api(weak)
    for role, rules in (("mine", [READS]), ("more", [rule("", "secrets", "get")])):
        rbac.create_namespaced_role(namespace, {"metadata": {"name": role}, "rules": rules})
    binding = {"metadata": {"name": "a"}, "roleRef": reference("mine"), "subjects": BOB}
    bobs.create_namespaced_role_binding(namespace, binding)
    binding = {"metadata": {"name": "b"}, "roleRef": reference("more"), "subjects": BOB}
    with pytest.raises(ApiException) as error:
        bobs.create_namespaced_role_binding(namespace, binding)
    assert 'Resources:["secrets"]' in refusal(error)


def test_to_escalate_and_to_bind_are_rights(weak: Any, rbac: Any, namespace: str) -> None:
    bind = rule(GROUP, "roles", "bind", resourceNames=["more"])
    give_bob(rbac, namespace, WRITER, rule(GROUP, "roles", "escalate"), bind)
    bobs = client.RbacAuthorizationV1Api(weak)
    bobs.create_namespaced_role(namespace, {"metadata": {"name": "more"}, "rules": [rule("", "secrets", "get")]})
    binding = {"metadata": {"name": "a"}, "roleRef": reference("more"), "subjects": BOB}
    assert bobs.create_namespaced_role_binding(namespace, binding).role_ref.name == "more"
