"""The manifest of a build."""

from __future__ import annotations

from typing import Any

import pytest

from functions.adapters.builds.job import JobSettings, job_manifest, merged, repo2docker_argv
from functions.core.ports import BuildRequest

REQUEST = BuildRequest(
    name="build-1", image="r.example.org:5000/b/x:c0ffee", repo_url="https://git.example.org/a/b", ref="c0ffee"
)


def pod_spec(request: BuildRequest = REQUEST, **settings: Any) -> dict[str, Any]:
    spec: dict[str, Any] = job_manifest(request, JobSettings(image="repo2docker:1", **settings))["spec"]
    found: dict[str, Any] = spec["template"]["spec"]
    return found


def test_repo2docker_is_asked_to_build_and_push_and_nothing_else() -> None:
    assert repo2docker_argv(REQUEST, ["--Repo2Docker.platform=linux/arm64"]) == [
        "jupyter-repo2docker",
        "--config=/nonexistent/repo2docker_config.py",
        "--json-logs",
        "--no-run",
        "--no-clean",
        "--push",
        "--user-name=jovyan",
        "--user-id=1000",
        "--image-name=r.example.org:5000/b/x:c0ffee",
        "--ref=c0ffee",
        "--Repo2Docker.platform=linux/arm64",
        "--",
        "https://git.example.org/a/b",
    ]


@pytest.mark.parametrize(
    "evil", ["--push", "-h", "--config=/tmp/x.py", "a b; rm -rf /", "$(id)", "`id`", "\n--no-push"]
)
def test_a_strange_repository_is_one_word_after_the_options(evil: str) -> None:
    request = BuildRequest(name="build-1", image="x:1", repo_url=evil, ref=evil)
    argv = repo2docker_argv(request)
    assert argv[-2:] == ["--", evil]
    assert f"--ref={evil}" in argv[:-2]


@pytest.mark.parametrize(
    ("url", "arg"),
    [
        ("https://h/$(TOKEN)", "https://h/$$(TOKEN)"),
        ("https://h/$$(TOKEN)", "https://h/$$$$(TOKEN)"),
        ("https://h/a$b", "https://h/a$$b"),
    ],
    ids=["variable", "escaped variable", "dollar"],
)
def test_kubernetes_puts_no_variable_of_the_builder_into_a_url(url: str, arg: str) -> None:
    request = BuildRequest(name="build-1", image="x:1", repo_url=url, ref="c0ffee")
    assert pod_spec(request)["containers"][0]["args"][-1] == arg


def test_a_job_runs_once_and_ends() -> None:
    spec = job_manifest(REQUEST, JobSettings(image="repo2docker:1", timeout_s=60, keep_s=600))["spec"]
    limits = {key: spec[key] for key in ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")}
    assert limits == {"backoffLimit": 0, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 600}
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_build_has_no_credentials_of_the_cluster() -> None:
    assert pod_spec()["automountServiceAccountToken"] is False


def test_a_job_and_its_pods_are_found_by_label_and_know_their_image() -> None:
    manifest = job_manifest(REQUEST, JobSettings(image="repo2docker:1"))
    assert manifest["metadata"]["name"] == "build-1"
    for metadata in (manifest["metadata"], manifest["spec"]["template"]["metadata"]):
        assert metadata["labels"] == {"component": "binderless-build", "binderless.build": "build-1"}
        assert metadata["annotations"]["binderless.image"] == "r.example.org:5000/b/x:c0ffee"


def test_the_operator_adds_to_the_pod() -> None:
    template: dict[str, Any] = {
        "metadata": {"annotations": {"team": "a"}},
        "spec": {
            "nodeSelector": {"pool": "builds"},
            "volumes": [{"name": "docker", "hostPath": {"path": "/run/docker.sock"}}],
            "containers": [
                {"name": "repo2docker", "env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "2"}}},
                {"name": "sidecar", "image": "x"},
            ],
        },
    }
    spec = pod_spec(template=template)
    ours, sidecar = spec["containers"]
    assert spec["nodeSelector"] == {"pool": "builds"}
    assert spec["volumes"] == template["spec"]["volumes"]
    assert ours["image"] == "repo2docker:1"
    assert ours["env"] == [{"name": "A", "value": "1"}]
    assert ours["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2"}}
    assert sidecar == {"name": "sidecar", "image": "x"}


def test_the_operator_does_not_change_what_is_built() -> None:
    changed = {"containers": [{"name": "repo2docker", "args": ["sh"]}], "restartPolicy": "Always"}
    template = {"metadata": {"labels": {"component": "other"}}, "spec": changed}
    spec = pod_spec(template=template)
    assert spec["containers"][0]["args"][0] == "jupyter-repo2docker"
    assert spec["restartPolicy"] == "Never"
    manifest = job_manifest(REQUEST, JobSettings(image="repo2docker:1", template=template))
    assert manifest["spec"]["template"]["metadata"]["labels"]["component"] == "binderless-build"


def test_the_template_is_not_changed_by_using_it() -> None:
    template = {"spec": {"containers": [{"name": "repo2docker"}]}}
    pod_spec(template=template)
    assert template == {"spec": {"containers": [{"name": "repo2docker"}]}}


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"name": "x", "v": 1}]}, {"a": [{"name": "x", "w": 2}]}, {"a": [{"name": "x", "v": 1, "w": 2}]}),
        ({"a": [{"name": "x"}]}, {"a": [{"name": "y"}]}, {"a": [{"name": "x"}, {"name": "y"}]}),
        ({"a": [{"key": "x"}]}, {"a": [{"key": "y"}]}, {"a": [{"key": "y"}]}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": "text"}, {"a": "other"}, {"a": "other"}),
    ],
    ids=["new", "deep", "list", "named, same", "named, other", "unnamed", "kind changed", "text"],
)
def test_mappings_are_merged_by_key_and_lists_by_name(base: Any, patch: Any, result: Any) -> None:
    assert merged(base, patch) == result
