"""Who may do what: requests in the name of others, and rights that nobody can give themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client
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
