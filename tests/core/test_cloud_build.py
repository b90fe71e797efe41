"""What a configuration for Cloud Build is refused for."""

from __future__ import annotations

from typing import Any

import pytest

from functions.core.cloud_build import cloud_build_problems, longest_build_s, service_account_name
from functions.core.settings import BuildSettings, CloudBuildSettings, Secret

IMAGE = f"r.example.org/repo2docker@sha256:{'0' * 64}"
BUILDS = BuildSettings(backend="cloud_build", image=IMAGE)
GOOD = {
    "project": "p1",
    "region": "europe-west1",
    "service_account": "b@p1.iam.gserviceaccount.com",
    "log_bucket": "logs",
}
POOL = "projects/p1/locations/europe-west1/workerPools/builds"
OWN = {"endpoint": "http://127.0.0.1:1", "storage_endpoint": "http://127.0.0.1:1"}


def problems(builds: BuildSettings = BUILDS, **changes: Any) -> list[str]:
    return list(cloud_build_problems(builds, CloudBuildSettings(**{**GOOD, **changes})))


def test_a_complete_configuration_has_no_problems() -> None:
    assert problems() == []
    assert problems(private_pool=POOL) == []


def test_another_backend_needs_nothing_of_it() -> None:
    assert list(cloud_build_problems(BuildSettings(), CloudBuildSettings())) == []


def test_every_missing_setting_is_named() -> None:
    found = list(cloud_build_problems(BUILDS, CloudBuildSettings()))
    assert [problem.partition(":")[0] for problem in found] == [
        "cloud_build.project",
        "cloud_build.service_account",
        "cloud_build.log_bucket",
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"service_account": "builder"}, "cloud_build.service_account"),
        ({"log_bucket": "gs://logs"}, "cloud_build.log_bucket"),
        ({"private_pool": "builds"}, "cloud_build.private_pool"),
        ({"private_pool": POOL, "region": "us-east1"}, "cloud_build.region"),
        ({"private_pool": POOL, "machine_type": "E2_HIGHCPU_8"}, "cloud_build.machine_type"),
        ({**OWN, "endpoint": "127.0.0.1:1"}, "cloud_build.endpoint"),
        ({"token": Secret("t")}, "cloud_build.token"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_named(changes: dict[str, Any], named: str) -> None:
    assert [problem.partition(":")[0] for problem in problems(**changes)] == [named]


def test_at_google_the_builders_image_is_pinned_by_its_digest() -> None:
    by_tag = BuildSettings(backend="cloud_build", image="quay.io/jupyterhub/repo2docker:2026.04.0")
    assert [problem.partition(":")[0] for problem in problems(by_tag)] == ["builds.image"]
    assert problems(by_tag, **OWN) == []


def test_an_account_may_be_given_by_its_address_or_name() -> None:
    name = "projects/p1/serviceAccounts/b@x.org"
    assert service_account_name("p1", "b@x.org") == service_account_name("p2", name) == name


def test_time_in_the_queue_of_cloud_build_does_not_make_a_build_stuck() -> None:
    cloud = CloudBuildSettings(queue_ttl_s=50)
    assert longest_build_s(BuildSettings(backend="cloud_build", timeout_s=100), cloud) == 150
    assert longest_build_s(BuildSettings(timeout_s=100), cloud) == 100
