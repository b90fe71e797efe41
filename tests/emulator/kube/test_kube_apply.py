"""Server-side apply: what goes when a manager no longer asks for it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from tests.emulator.kube.serving import TOKEN, ServerThread, pod_body


class Applier:
    """Applies objects in a namespace of the test's own, in the name of a manager."""

    def __init__(self, url: str, namespace: str) -> None:
        self.url, self.namespace = url, namespace

    def __call__(self, kind: str, manager: str = "one", *, part: str = "", force: bool = False, **body: Any) -> Any:
        """Apply an object named `a` and return what it is then."""
        config = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"} | body.pop("metadata", {})} | body
        url = f"{self.url}/api/v1/namespaces/{self.namespace}/{kind.lower()}s/a{part}"
        fields = {"fieldManager": manager} | ({"force": "true"} if force else {})
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/apply-patch+yaml"}
        answer = urllib3.request("PATCH", f"{url}?{urlencode(fields)}", json=config, headers=headers).json()
        if answer["kind"] == "Status":
            raise AssertionError(answer["message"])
        return answer


@pytest.fixture
def apply(server: ServerThread, namespace: str) -> Applier:
    return Applier(server.url, namespace)


def owner(name: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": f"uid-of-{name}"}


def test_a_port_that_is_no_longer_applied_is_gone(apply: Applier) -> None:
    first, second = {"name": "a", "port": 80}, {"name": "b", "port": 81, "targetPort": 8081}
    apply("Service", spec={"ports": [first, second]})
    assert [port["port"] for port in apply("Service", spec={"ports": [first]})["spec"]["ports"]] == [80]


def test_items_that_are_nothing_but_their_key_go_as_well(apply: Applier) -> None:
    apply("ServiceAccount", secrets=[{"name": "a"}, {"name": "b"}])
    assert apply("ServiceAccount", secrets=[{"name": "a"}])["secrets"] == [{"name": "a"}]
    assert "secrets" not in apply("ServiceAccount")


def test_an_owner_that_is_no_longer_applied_is_gone(core: Any, namespace: str, apply: Applier) -> None:
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": "owner"}})
    apply("ConfigMap", metadata={"ownerReferences": [owner("owner") | {"uid": made.metadata.uid}]})
    assert "ownerReferences" not in apply("ConfigMap", metadata={"ownerReferences": []})["metadata"]


def test_an_item_stays_while_another_manager_wants_it(apply: Applier) -> None:
    wanted_by_both, other = {"port": 80, "name": "a"}, {"port": 81, "name": "b"}
    apply("Service", spec={"ports": [wanted_by_both | {"targetPort": 8080}, other]})
    apply("Service", "two", spec={"ports": [wanted_by_both]})
    ports = apply("Service", spec={"ports": [other]})["spec"]["ports"]
    assert [(each["port"], each["targetPort"]) for each in ports] == [(80, 80), (81, 81)]


def test_an_item_that_another_manager_changed_keeps_its_key(core: Any, namespace: str, apply: Applier) -> None:
    apply("Service", spec={"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]})
    change = {"spec": {"ports": [{"port": 80, "name": "c"}]}}
    core.patch_namespaced_service("a", namespace, change, field_manager="other")
    ports = apply("Service", spec={"ports": [{"port": 81, "name": "b"}]})["spec"]["ports"]
    assert [(each["port"], each["name"]) for each in ports] == [(80, "c"), (81, "b")]


def managers(obj: Any) -> list[tuple[str, str, str]]:
    entries = obj["metadata"]["managedFields"]
    return [(each["manager"], each["operation"], each.get("subresource", "")) for each in entries]


def condition(kind: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True"}]}


def types(obj: Any) -> list[str]:
    return [each["type"] for each in obj["status"].get("conditions", [])]


def test_an_apply_to_the_status_leaves_what_its_manager_applied_to_the_object(apply: Applier) -> None:
    meta = {"labels": {"l": "1"}, "annotations": {"n": "1"}}
    apply("Pod", metadata=meta, spec=pod_body("a", schedulerName="nobody")["spec"], status={"message": "ignored"})
    changed = apply("Pod", part="/status", status=condition("example.org/x"))
    assert (changed["metadata"]["labels"], changed["metadata"]["annotations"]) == (meta["labels"], meta["annotations"])
    assert managers(changed) == [("one", "Apply", ""), ("one", "Apply", "status")]
    fields = [each["fieldsV1"].keys() for each in changed["metadata"]["managedFields"]]
    assert fields == [{"f:metadata", "f:spec"}, {"f:status"}]


def test_an_applied_status_has_owners_and_conflicts_as_well(core: Any, namespace: str, apply: Applier) -> None:
    apply("Pod", spec=pod_body("a", schedulerName="nobody")["spec"])
    assert "example.org/x" in types(apply("Pod", part="/status", status=condition("example.org/x")))
    assert "example.org/x" not in types(apply("Pod", part="/status", status={}))
    core.patch_namespaced_pod_status("a", namespace, {"status": {"message": "hers"}}, field_manager="two")
    with pytest.raises(AssertionError, match='conflict with "two" with subresource "status" using v1: .status.message'):
        apply("Pod", part="/status", status={"message": "his"})
