"""Expansion, command lines, quantities, names and paths, as tables."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulator.kubelet.environment import (
    ConfigError,
    Downward,
    Source,
    command_line,
    container_environment,
    expand,
    field_value,
)
from emulator.kubelet.images import pull_policy
from emulator.kubelet.names import UnsafeName, check_key, check_pod, mount_path, relative_path, resolve_below
from emulator.kubelet.quantity import parse_quantity
from emulator.kubelet.volumes import VolumeError, make_volume, volume_files

POD: dict[str, Any] = {
    "metadata": {"name": "a", "namespace": "n", "uid": "u"},
    "spec": {"containers": [], "nodeName": "node"},
}
DOWNWARD = Downward(pod=POD, pod_ip="127.77.0.1", host_ip="127.0.0.1", allocatable={"memory": "1Gi", "cpu": "2"})


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NONE)", "$(NONE)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("$$", "$"),
        ("$()", "$()"),
        ("$(C)", "$(A)"),
    ],
)
def test_references_are_expanded_once(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2", "C": "$(A)"}) == expanded


@pytest.mark.parametrize(
    ("container", "line"),
    [
        ({}, ["entry", "image"]),
        ({"args": ["mine"]}, ["entry", "mine"]),
        ({"command": ["mine"]}, ["mine"]),
        ({"command": ["mine"], "args": ["too"]}, ["mine", "too"]),
    ],
)
def test_command_and_args_replace_those_of_the_image(container: Any, line: list[str]) -> None:
    assert list(command_line(container, {}, entrypoint=["entry"], command=["image"])) == line


def test_a_container_without_any_command_is_refused() -> None:
    with pytest.raises(ConfigError, match="no command specified"):
        command_line({}, {}, entrypoint=(), command=())


def test_a_missing_key_is_named() -> None:
    env = [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    with pytest.raises(ConfigError, match="couldn't find key k in Secret n/s"):
        container_environment({"env": env}, sources={Source("secrets", "s"): {}}, downward=DOWNWARD)


def test_a_limit_not_given_is_what_the_node_has() -> None:
    env = [{"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}]
    assert container_environment({"env": env}, sources={}, downward=DOWNWARD) == {"M": "1024"}


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ConfigError, match="unsupported fieldPath: spec.secret"):
        field_value("spec.secret", DOWNWARD)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", "1"), ("500m", "0.5"), ("1Gi", "1073741824"), ("1.5k", "1500"), ("1e3", "1000"), (2, "2")],
)
def test_quantities_are_numbers(text: str | int, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "NaN", "inf", "1GiB"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a/b", "Always"),
        ("a/b:latest", "Always"),
        ("h:5000/b", "Always"),
        ("a/b:1", "IfNotPresent"),
        ("h:5000/a/b:1", "IfNotPresent"),
        ("a/b@sha256:0", "IfNotPresent"),
    ],
)
def test_images_are_pulled_as_kubernetes_does(image: str, policy: str) -> None:
    assert pull_policy({"image": image}) == policy


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "A", "a\0b", "x" * 254])
@pytest.mark.parametrize("field", ["name", "namespace", "uid"])
def test_a_pod_with_names_that_are_paths_is_refused(field: str, name: str) -> None:
    if (field, name) == ("uid", "A"):
        return
    with pytest.raises(UnsafeName):
        check_pod({**POD, "metadata": {**POD["metadata"], field: name}})


@pytest.mark.parametrize("kind", ["containers", "initContainers", "volumes"])
def test_containers_and_volumes_with_such_names_are_refused(kind: str) -> None:
    with pytest.raises(UnsafeName):
        check_pod({**POD, "spec": {**POD["spec"], kind: [{"name": "../../x"}]}})


@pytest.mark.parametrize("key", ["..", ".", "../x", "a/b", "", "..data", "a\0"])
def test_a_key_that_is_no_file_name_is_refused(key: str) -> None:
    with pytest.raises(UnsafeName):
        check_key(key)
    volume = {"name": "v", "configMap": {"name": "c"}}
    with pytest.raises(UnsafeName):
        volume_files(volume, sources={Source("configmaps", "c"): {key: b""}}, downward=DOWNWARD)


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a\0"])
def test_an_item_cannot_leave_its_volume(path: str) -> None:
    with pytest.raises(UnsafeName):
        relative_path(path)
    volume = {"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": path}]}}
    with pytest.raises(UnsafeName):
        volume_files(volume, sources={Source("secrets", "s"): {"k": b""}}, downward=DOWNWARD)


@pytest.mark.parametrize("path", ["/", "//", "/proc/x", "/sys", "/dev", "/a/../etc", "x", "/..", "/a\0b"])
def test_nothing_is_mounted_where_the_sandbox_ends(path: str) -> None:
    with pytest.raises(UnsafeName):
        mount_path(path)


def test_a_sub_path_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(UnsafeName, match="symbolic link"):
        resolve_below(tmp_path, "link/etc")
    with pytest.raises(UnsafeName):
        resolve_below(tmp_path, "../x")


def test_a_host_path_outside_of_the_allowed_is_refused(tmp_path: Path) -> None:
    volume = {"name": "v", "hostPath": {"path": f"{tmp_path}/x", "type": "DirectoryOrCreate"}}
    with pytest.raises(VolumeError, match="not below a folder that this node allows"):
        make_volume(volume, folder=tmp_path, sources={}, downward=DOWNWARD, allowed=(), owner=None)
    assert not (tmp_path / "x").exists()


def test_a_projected_volume_holds_the_files_of_all_its_sources() -> None:
    sources = {Source("configmaps", "c"): {"a": b"1"}, Source("secrets", "s"): {"b": b"2"}}
    parts = [
        {"configMap": {"name": "c"}},
        {"secret": {"name": "s", "items": [{"key": "b", "path": "deep/b", "mode": 0o400}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"secret": {"name": "none", "optional": True}},
    ]
    files = volume_files({"name": "v", "projected": {"sources": parts}}, sources=sources, downward=DOWNWARD)
    assert [(each.path, each.content, each.mode) for each in files] == [
        ("a", b"1", 0o644),
        ("deep/b", b"2", 0o400),
        ("name", b"a", 0o644),
    ]
