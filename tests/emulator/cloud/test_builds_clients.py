"""Clients that Google wrote: google-cloud-build, and gcloud where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, NotFound, ServiceUnavailable, Unauthorized

from tests.emulator.cloud.building import BUCKET, BUILDS_TOKEN, PROJECT, REGION, BuildCloud, a_build, building_cloud
from tests.emulator.kubelet.cluster import Cluster

PARENT = f"projects/{PROJECT}/locations/{REGION}"


@pytest.fixture(scope="module")
def builder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildCloud]:
    with building_cloud(tmp_path_factory.mktemp("builder"), cluster) as made:
        yield made


def message(*scripts: str, **fields: Any) -> Any:
    """The build of `a_build` as google-cloud-build has it."""
    from google.cloud.devtools.cloudbuild_v1 import Build

    return Build.from_json(json.dumps(a_build(*scripts, **fields)))


def test_googles_client_creates_gets_and_lists(builder: BuildCloud) -> None:
    client = builder.client()
    operation = client.create_build(request={"parent": PARENT, "build": message("true", tags=["one"])})
    build_id = operation.metadata.build.id
    builder.ended({"id": build_id})
    got = client.get_build(request={"name": f"{PARENT}/builds/{build_id}"})
    assert (got.status.name, got.steps[0].status.name) == ("SUCCESS", "SUCCESS")
    assert got.finish_time >= got.start_time >= got.create_time
    (found,) = client.list_builds(request={"parent": PARENT, "filter": 'tags="one" AND status="SUCCESS"'})
    assert found.id == build_id


def test_googles_client_reads_a_list_page_by_page(builder: BuildCloud) -> None:
    ids = [builder.create(a_build("true", tags=["paged"]))["id"] for _ in range(5)]
    found = builder.client().list_builds(request={"parent": PARENT, "filter": 'tags="paged"', "page_size": 2})
    assert [build.id for build in found] == ids[::-1]


def test_googles_client_speaks_to_the_global_location_too(builder: BuildCloud) -> None:
    client = builder.client()
    operation = client.create_build(project_id=PROJECT, build=message("true"))
    build_id = operation.metadata.build.id
    assert client.get_build(project_id=PROJECT, id=build_id).name.endswith(f"/locations/global/builds/{build_id}")
    with pytest.raises(NotFound):
        client.get_build(request={"name": f"{PARENT}/builds/{build_id}"})


def test_googles_client_cancels_and_retries(builder: BuildCloud) -> None:
    client = builder.client()
    first = client.create_build(request={"parent": PARENT, "build": message("sleep 60")}).metadata.build.id
    name = f"{PARENT}/builds/{first}"
    assert client.cancel_build(request={"name": name}).status.name == "CANCELLED"
    second = client.retry_build(request={"name": name}).metadata.build
    assert second.id != first
    assert second.steps[0].args == ["-c", "sleep 60"]
    client.cancel_build(request={"name": f"{PARENT}/builds/{second.id}"})


def test_googles_client_finds_its_own_errors(builder: BuildCloud) -> None:
    with pytest.raises(BadRequest, match="no build steps"):
        builder.client().create_build(request={"parent": PARENT, "build": {}})
    with pytest.raises(Unauthorized):
        builder.client("another-token").list_builds(request={"parent": PARENT})
    builder.admin("/builds/faults", {"refuse_creates": 1})
    with pytest.raises(ServiceUnavailable):
        builder.client().create_build(request={"parent": PARENT, "build": message("true")}, retry=None)


Gcloud = Callable[..., str]


@pytest.fixture
def gcloud(builder: BuildCloud, tmp_path: Path) -> Gcloud:
    """Runs `gcloud builds` against the emulator; returns what it writes."""
    command = shutil.which("gcloud", path="/usr/bin:/usr/local/bin")
    if command is None:
        pytest.skip("needs gcloud")
    token = tmp_path / "token"
    token.write_text(BUILDS_TOKEN)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "0",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBUILD": f"{builder.url}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{builder.url}/storage/v1/",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [command, "builds", *words, f"--region={REGION}"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_gcloud_submits_describes_lists_and_cancels(builder: BuildCloud, gcloud: Gcloud, tmp_path: Path) -> None:
    config = tmp_path / "build.json"
    config.write_text(json.dumps(a_build("echo hello", tags=["by-gcloud"], options={"logging": "GCS_ONLY"})))
    submitted = gcloud("submit", f"--config={config}", "--no-source", "--async", "--format=json")
    build_id = json.loads(submitted)["id"]
    builder.ended({"id": build_id})
    described = json.loads(gcloud("describe", build_id, "--format=json"))
    assert (described["status"], described["logsBucket"]) == ("SUCCESS", f"gs://{BUCKET}")
    listed = gcloud("list", "--filter=tags=by-gcloud", "--format=value(id)")
    assert listed.split() == [build_id]
    hog = builder.create(a_build("sleep 60"))
    gcloud("cancel", hog["id"])
    assert builder.get(hog["id"])["status"] == "CANCELLED"
