"""What a user of pods and jobs gets wrong most, and the field that is blamed for it."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.kube.errors import ApiError
from emulator.kube.kinds import PODS
from emulator.kube.kinds.pod_template import default_pod_spec, pod_spec_causes
from emulator.kube.options import WriteOptions
from emulator.kube.writes import decode

CONTAINER = {"name": "c", "image": "i"}


def blamed(**spec: Any) -> list[tuple[str, str]]:
    """Return the fields of a pod's spec that are wrong, and why."""
    whole = {"containers": [dict(CONTAINER)]} | spec
    default_pod_spec(whole)
    causes = pod_spec_causes(whole, "spec")
    return [(each.field.removeprefix("spec."), each.reason.removeprefix("FieldValue")) for each in causes]


def of_container(**changes: Any) -> list[tuple[str, str]]:
    found = blamed(containers=[CONTAINER | changes], volumes=[{"name": "v"}])
    return [(field.removeprefix("containers[0]."), reason) for field, reason in found]


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"name": "Main"}, "name", "Invalid"),
        ({"image": ""}, "image", "Required"),
        ({"imagePullPolicy": "Sometimes"}, "imagePullPolicy", "NotSupported"),
        ({"ports": [{"containerPort": 0}]}, "ports[0].containerPort", "Required"),
        ({"ports": [{"containerPort": 1, "protocol": "HTTP"}]}, "ports[0].protocol", "NotSupported"),
        ({"env": [{"name": "1A"}]}, "env[0].name", "Invalid"),
        ({"env": [{"name": "A", "valueFrom": {}}]}, "env[0].valueFrom", "Invalid"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
            "env[0].valueFrom.secretKeyRef.key",
            "Required",
        ),
        ({"volumeMounts": [{"name": "w", "mountPath": "/x"}]}, "volumeMounts[0].name", "NotFound"),
        ({"volumeMounts": [{"name": "v"}]}, "volumeMounts[0].mountPath", "Required"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x"}] * 2}, "volumeMounts[1].mountPath", "Invalid"),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "../y"}]},
            "volumeMounts[0].subPath",
            "Invalid",
        ),
        ({"readinessProbe": {}}, "readinessProbe", "Required"),
        ({"readinessProbe": {"httpGet": {"port": 0}}}, "readinessProbe.httpGet.port", "Invalid"),
        (
            {"livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}},
            "livenessProbe.successThreshold",
            "Invalid",
        ),
        ({"livenessProbe": {"grpc": {"port": 1}}}, "livenessProbe.grpc", "Forbidden"),
        (
            {"livenessProbe": {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 0}},
            "livenessProbe.terminationGracePeriodSeconds",
            "Invalid",
        ),
        (
            {"readinessProbe": {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 1}},
            "readinessProbe.terminationGracePeriodSeconds",
            "Invalid",
        ),
        ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, "resources.requests", "Invalid"),
        ({"resources": {"limits": {"memory": "-1"}}}, "resources.limits[memory]", "Invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_container_is_refused_for_its_field(changes: dict[str, Any], field: str, reason: str) -> None:
    assert (field, reason) in of_container(**changes)


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({"containers": []}, "containers", "Required"),
        ({"restartPolicy": "Sometimes"}, "restartPolicy", "NotSupported"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "volumes[1].name", "Duplicate"),
        ({"volumes": [{"name": "v", "emptyDir": {}, "secret": {}}]}, "volumes[0].secret", "Forbidden"),
        ({"tolerations": [{"operator": "Equal"}]}, "tolerations[0].operator", "Invalid"),
        ({"tolerations": [{"key": "a", "effect": "Never"}]}, "tolerations[0].effect", "NotSupported"),
        ({"nodeSelector": {"a b": "c"}}, "nodeSelector", "Invalid"),
        ({"activeDeadlineSeconds": 0}, "activeDeadlineSeconds", "Invalid"),
        ({"containers": [CONTAINER | {"restartPolicy": "Always"}]}, "containers[0].restartPolicy", "Forbidden"),
        ({"initContainers": [CONTAINER | {"restartPolicy": "Always"}]}, "initContainers[0].restartPolicy", "Forbidden"),
        ({"initContainers": [CONTAINER | {"restartPolicy": "No"}]}, "initContainers[0].restartPolicy", "NotSupported"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pod_is_refused_for_its_field(spec: dict[str, Any], field: str, reason: str) -> None:
    assert (field, reason) in blamed(**spec)


def test_a_right_pod_is_not_refused() -> None:
    probe = {"httpGet": {"port": "http"}}
    mount = {"name": "v", "mountPath": "/x"}
    assert of_container(readinessProbe=probe, volumeMounts=[mount], env=[{"name": "A.b-C", "value": ""}]) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [CONTAINER | {"resources": {"limits": {"cpu": "much"}}}]},
        {"containers": [CONTAINER | {"ports": [{"containerPort": "80"}]}]},
        {"containers": "x"},
        {"activeDeadlineSeconds": "5"},
    ],
    ids=["quantity", "port", "list", "number"],
)
def test_a_value_that_is_none_of_its_type_never_gets_so_far(spec: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as error:
        decode(PODS, {"metadata": {"name": "a"}, "spec": spec}, WriteOptions())
    assert (error.value.code, error.value.reason) == (400, "BadRequest")
