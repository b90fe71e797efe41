"""What terraform/hub gives to the chart, loaded by a real JupyterHub as the chart would have it loaded."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.http import ONCE, HttpClient
from functions.adapters.jupyterhub import JupyterHub
from tests.contract.cluster import Cluster, until
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("chart_config.py")
# Values are made of variables alone, so no provider is needed to see them.
WITHOUT_PROVIDERS = ("values.tf", "variables.tf", "jupyterhub_config.py")
VARIABLES = {
    "acme_email": "operator@example.org",
    "cluster": {"name": "binderless", "location": "europe-west1", "autopilot": True},
    "functions_cidr": "10.8.0.0/24",
    "hub_address": "10.8.1.5",
    "hub_token": "only-for-this-test-0123456789abcdef",
    "hub_token_version": 1,
    "project": "example-project",
    "servers_address": "192.0.2.7",
    "servers_domain": "servers.example.org",
}
pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="needs terraform")


@dataclass(frozen=True)
class RunningHub:
    """A JupyterHub, two clients of it, and where its pods are."""

    functions: HttpClient
    looker: HttpClient
    cluster: Cluster
    namespace: str

    def pod(self, user: str) -> dict[str, Any]:
        """The pod of *user*'s server, once the Hub has made it."""

        def pods() -> list[dict[str, Any]]:
            selector = f"hub.jupyter.org%2Fusername%3D{user}"
            path = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={selector}"
            found: list[dict[str, Any]] = self.cluster.call("GET", path)["items"]
            return found

        until(lambda: bool(pods()))
        return pods()[0]


@pytest.fixture(scope="session")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The values of the chart, as Terraform makes them."""
    root = tmp_path_factory.mktemp("values")
    step = root / "terraform" / "hub"
    step.mkdir(parents=True)
    for name in WITHOUT_PROVIDERS:
        shutil.copy(ROOT / "terraform" / "hub" / name, step)
    shutil.copytree(ROOT / "hub", root / "hub", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "config.yaml").write_text("{}")
    (step / "test.auto.tfvars.json").write_text(json.dumps(VARIABLES))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    console = subprocess.run(
        ["terraform", "console"],
        cwd=step,
        env=environ,
        input="jsonencode(local.values)",
        capture_output=True,
        text=True,
        check=True,
    )
    # The console writes the text as a literal of its own language, which for JSON is JSON's.
    made: dict[str, Any] = json.loads(json.loads(console.stdout))
    return made


@pytest.fixture(scope="session")
def chart_folder(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the chart mounts into the Hub's container."""
    folder = tmp_path_factory.mktemp("chart")
    (folder / "values.json").write_text(json.dumps(values))
    for name, file in values["hub"]["extraFiles"].items():
        assert file["mountPath"] == f"/usr/local/etc/jupyterhub/{name}"
        (folder / name).write_text(file["stringData"])
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Kubernetes API whose pods stay as they are made."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), free_port())
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def hub(values: dict[str, Any], chart_folder: Path, cluster: Cluster) -> Iterator[RunningHub]:
    """A real JupyterHub with these values."""
    url, token, looker = f"http://127.0.0.1:{free_port()}", secrets.token_hex(16), secrets.token_hex(16)
    functions, looking = (
        HttpClient("JupyterHub", f"{url}/hub/api", headers={"Authorization": f"token {each}"}, retry=ONCE)
        for each in (token, looker)
    )
    namespace = cluster.namespace()
    kubeconfig = cluster.kubeconfig(chart_folder / "kubeconfig")
    test = {"TEST_CHART_FOLDER": str(chart_folder), "TEST_LOOKER_TOKEN": looker, "TEST_HUB_URL": url}
    # What the values take from the secret, and what the chart and Kubernetes add.
    environ = {**os.environ, **dict.fromkeys(values["hub"]["extraEnv"], token), **test}
    environ |= {"KUBECONFIG": kubeconfig, "POD_NAMESPACE": namespace}
    with (chart_folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)]
        process = subprocess.Popen(command, cwd=chart_folder, env=environ, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not JupyterHub(functions, url="https://servers.example.org/").healthy():
                alive = process.poll() is None and time.monotonic() < deadline
                assert alive, (chart_folder / "log").read_text()
                time.sleep(0.05)
            yield RunningHub(functions, looking, cluster, namespace)
        finally:
            # It would wait for servers that never come.
            process.kill()
            process.wait()


def test_the_hub_starts_servers_with_our_spawner(hub: RunningHub) -> None:
    info = json.loads(hub.looker.request("GET", "info").body)
    assert info["spawner"]["class"] == "binderless_spawner.BinderlessSpawner"
    assert "Null" in info["authenticator"]["class"]


def test_the_pod_of_a_launch_is_ours_with_the_limits_of_the_values(hub: RunningHub) -> None:
    hub.functions.request("POST", "users/alpha", expect=(201,))
    options = {"image": "example/image:1", "token": "t0ken"}
    hub.functions.request("POST", "users/alpha/server", json=options, expect=(202,))
    spec = hub.pod("alpha")["spec"]
    container = spec["containers"][0]
    assert container["image"] == "example/image:1"
    assert {"name": "JUPYTER_TOKEN", "value": "t0ken"} in container["env"]
    assert "--ServerApp.allow_origin_pat=.*" in container["args"]
    assert {name: float(limit) for name, limit in container["resources"]["limits"].items()} == {
        "cpu": 2,
        "memory": 2**31,
    }
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 21600 + 1800


def test_a_server_may_not_speak_to_the_cluster(hub: RunningHub) -> None:
    hub.functions.request("POST", "users/beta", expect=(201,))
    options = {"image": "example/image:1", "token": "t0ken"}
    hub.functions.request("POST", "users/beta/server", json=options, expect=(202,))
    spec = hub.pod("beta")["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_token_of_the_functions_opens_no_more_than_they_need(hub: RunningHub) -> None:
    assert hub.functions.request("GET", "users").status == 200
    for path in ("info", "services", "groups", "proxy"):
        hub.functions.request("GET", path, expect=(403,))
    hub.functions.request("POST", "shutdown", expect=(403,))
