"""Bodies of a strange form: every kind takes them or refuses them, and stumbles over none."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import models

from emulator.kube.cluster import Cluster
from emulator.kube.controllers.namespaces import Namespaces, create_first_namespaces
from emulator.kube.errors import ApiError
from emulator.kube.kinds import NAMESPACES, RESOURCES
from emulator.kube.options import WriteOptions
from emulator.kube.resource import Resource
from emulator.kube.schema import TYPES, protobuf
from emulator.kube.schema.decoding import WrongForm
from emulator.kube.store import Key, Store
from emulator.kube.tables import View, render
from emulator.kube.writes import create, decode, replace

CONTAINER = {"name": "c", "image": "i"}
ROLE = {"kind": "ClusterRole", "name": "x", "apiGroup": "rbac.authorization.k8s.io"}
# What a kind needs to be right.
RIGHT: dict[str, Any] = {
    "Pod": {"spec": {"containers": [CONTAINER]}},
    "Job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}},
    "Service": {"spec": {"ports": [{"port": 80}]}},
    "PersistentVolumeClaim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "PersistentVolume": {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}},
    "StorageClass": {"provisioner": "x"},
    "RoleBinding": {"roleRef": ROLE},
    "ClusterRoleBinding": {"roleRef": ROLE},
}
ODD_CONTAINER = {
    "name": "a",
    "ports": [{}],
    "env": [{}, {"name": "A", "valueFrom": {}}, {"name": "A", "valueFrom": {"fieldRef": {}}}],
    "resources": {"limits": {"cpu": "x"}, "requests": {"cpu": -1}},
    "readinessProbe": {},
    "volumeMounts": [{}],
}
ODD: list[dict[str, Any]] = [
    {},
    {"spec": None},
    {"spec": {}},
    {"spec": {"template": {}}},
    {"spec": {"template": {"spec": {}}}},
    {"spec": {"containers": [{}], "initContainers": [{}], "volumes": [{}], "tolerations": [{}]}},
    {"spec": {"volumes": [{}], "containers": [ODD_CONTAINER]}},
    {"spec": {"ports": [{}], "taints": [{}], "accessModes": ["x"], "finalizers": [], "claimRef": {}}},
    {"spec": {"type": "NodePort", "clusterIP": "abc", "ports": [{"port": 1, "nodePort": 30000}]}},
    {"spec": {"type": "ExternalName"}},
    {"spec": {"selector": {"matchLabels": {}}, "resources": {}}},
    {"status": {}},
    {"status": {"conditions": [{}], "containerStatuses": [{}], "initContainerStatuses": [{}], "addresses": [{}]}},
    {"subjects": [{}], "rules": [{}], "roleRef": {}, "subsets": [{"addresses": [{}], "ports": [{}]}]},
    {"metadata": {"ownerReferences": [{}], "finalizers": ["x"], "labels": {"": ""}}},
    {"involvedObject": {}, "provisioner": "", "value": 1},
]


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster(Store(clock_us=lambda: time.time_ns() // 1000))
    create_first_namespaces(made)
    Namespaces(made).reconcile(Key(NAMESPACES.id, "", "default"))
    return made


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.id)
def test_a_strange_body_is_taken_or_refused(cluster: Cluster, resource: Resource) -> None:
    namespace = "default" if resource.namespaced else ""
    create(cluster, resource, namespace, {"metadata": {"name": "right"}} | RIGHT.get(resource.kind, {}))
    for number, odd in enumerate(ODD):
        meta = odd.get("metadata", {})
        for name, part in ((f"x{number}", "new"), ("right", ""), ("right", "status")):
            body = odd | {"metadata": meta | {"name": name}}
            try:
                if part == "new":
                    create(cluster, resource, namespace, body)
                elif resource.has_status or not part:
                    replace(cluster, resource, namespace, name, body, part=part)
            except ApiError:
                continue
        for obj in cluster.store.objects(resource.id):
            render(resource, obj, View("Table"), now=cluster.now())


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.id)
def test_the_type_of_every_kind_is_known(resource: Resource) -> None:
    assert {"apiVersion", "kind", "metadata"} <= TYPES[resource.kind].keys()


def test_types_are_those_of_the_official_client() -> None:
    for name, fields in TYPES.items():
        # Some names are used twice in the API, and the client tells them apart.
        model = getattr(models, f"CoreV1{name}", None) or getattr(models, f"V1{name}", None)
        if model is not None:
            assert set(fields) <= {*model.attribute_map.values()}, name


def decoded(body: Any, options: WriteOptions | None = None) -> Any:
    resource = next(each for each in RESOURCES if each.kind == "ConfigMap")
    return decode(resource, body, options or WriteOptions())


def test_null_is_absence_and_in_a_map_an_empty_text() -> None:
    body = {"metadata": {"name": "a", "labels": None}, "data": {"k": None}, "binaryData": {}}
    made = decoded(body)
    assert made["data"] == {"k": ""}
    assert "labels" not in made["metadata"]
    assert "binaryData" not in made


def test_an_unknown_field_is_dropped_warned_of_or_refused() -> None:
    body = {"metadata": {"name": "a"}, "nonsense": 1}
    assert "nonsense" not in decoded(body)
    warned = WriteOptions(field_validation="Warn")
    decoded(body, warned)
    assert warned.warnings == ['unknown field "nonsense"']
    with pytest.raises(ApiError, match='strict decoding error: unknown field "nonsense"'):
        decoded(body, WriteOptions(field_validation="Strict"))


@pytest.mark.parametrize("body", [{"data": {"k": 1}}, {"data": []}, {"immutable": "yes"}, {"binaryData": {"k": "%"}}])
def test_a_value_of_another_type_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="cannot be handled as a ConfigMap"):
        decoded({"metadata": {"name": "a"}} | body)


def field(number: int, value: bytes | int) -> bytes:
    """A field of a small protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def wrapped(kind: bytes, message: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, b"v1") + field(2, kind)) + field(2, message)


def test_protobuf_is_read_as_the_json_of_the_same_object() -> None:
    meta = field(1, b"a") + field(11, field(1, b"app") + field(2, b"x"))
    container = field(1, b"main") + field(2, b"i:1") + field(6, field(2, 0) + field(3, 8888)) + field(16, 0)
    limits = field(8, field(1, field(1, b"cpu") + field(2, field(1, b"1"))))
    volume = field(1, b"v") + field(2, field(6, field(1, b"s")))
    spec = field(1, volume) + field(2, container + limits) + field(4, 0) + field(11, 0)
    assert protobuf.read("Pod", wrapped(b"Pod", field(1, meta) + field(2, spec))) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "labels": {"app": "x"}},
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "i:1",
                    "ports": [{"containerPort": 8888}],
                    "resources": {"limits": {"cpu": "1"}},
                },
            ],
            "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
            "terminationGracePeriodSeconds": 0,
        },
    }


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_a_wrong_form(raw: bytes) -> None:
    for body in (raw, b"k8s\0" + raw, wrapped(b"Pod", raw[:100])):
        try:
            protobuf.read("Pod", body)
        except WrongForm:
            continue
