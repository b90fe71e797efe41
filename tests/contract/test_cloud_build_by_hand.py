"""A build by gcloud, as cloudbuild/README.md says, is the one that the functions ask for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.builds.cloud_build_request import TEMPLATE, BuildOrder, build_document
from functions.core.ports import BuildRequest
from tests.contract.building_cloud import BUCKET, PROJECT, BuildingCloud

IMAGE, URL = "r.example.org/p/x:HEAD", "https://g.example.org/x"
BUILDER = f"r.example.org/repo2docker@sha256:{'0' * 64}"
ACCOUNT = f"projects/{PROJECT}/serviceAccounts/builder@{PROJECT}.iam.gserviceaccount.com"
VALUES = {
    "_BUILDER": BUILDER,
    "_IMAGE": IMAGE,
    "_REPO_URL": URL,
    "_REF": "HEAD",
    "_SERVICE_ACCOUNT": ACCOUNT,
    "_LOG_BUCKET": BUCKET,
}


@pytest.fixture
def submitted(building_cloud: BuildingCloud, tmp_path: Path) -> dict[str, Any]:
    """The build that gcloud has begun."""
    command = shutil.which("gcloud", path="/usr/bin:/usr/local/bin")
    if command is None:
        pytest.skip("needs gcloud")
    token = tmp_path / "token"
    token.write_text(building_cloud.cloud.token)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "0",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBUILD": f"{building_cloud.cloud.http_url}/",
    }
    values = ",".join(f"{name}={value}" for name, value in VALUES.items())
    words = ["submit", "--no-source", "--async", "--region=by-hand", "--format=json", f"--config={TEMPLATE}"]
    done = subprocess.run(
        [command, "builds", *words, f"--substitutions={values}"],
        env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_gcloud_begins_the_build_that_the_functions_ask_for(submitted: dict[str, Any]) -> None:
    request = BuildRequest(name="build-x", image=IMAGE, repo_url=URL, ref="HEAD")
    ours = build_document(request, BuildOrder(image=BUILDER, service_account=ACCOUNT, log_bucket=BUCKET))
    (step,) = submitted["steps"]
    assert {name: step[name] for name in ("id", "name", "dir", "args")} == ours["steps"][0]
    for name in ("images", "timeout", "queueTtl", "serviceAccount", "logsBucket"):
        assert submitted[name] == ours[name]
    assert submitted["options"].items() >= ours["options"].items()
    assert "binderless" in submitted["tags"]
