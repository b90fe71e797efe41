"""Services that contracts are tried on."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from functions.adapters.http import ONCE, HttpClient, Retry
from functions.adapters.jupyterhub import JupyterHub
from tests.contract.building_cloud import BuildingCloud
from tests.contract.cloud import Cloud
from tests.contract.cluster import Cluster
from tests.fakes import java_emulators
from tests.ports import free_port

HUB_CONFIG = Path(__file__).with_name("jupyterhub_config.py")


@pytest.fixture(scope="session")
def jupyterhub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterHub]:
    """A real JupyterHub, started once for all tests that need one."""
    folder = tmp_path_factory.mktemp("jupyterhub")
    url, token = f"http://127.0.0.1:{free_port()}", secrets.token_hex(16)
    environ = {**os.environ, "TEST_HUB_URL": url, "TEST_HUB_TOKEN": token}
    client = HttpClient("JupyterHub", f"{url}/hub/api", headers={"Authorization": f"token {token}"}, retry=ONCE)
    hub = JupyterHub(client, url="https://hub.example.org/base/", quiet_s=0.2)
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "jupyterhub", "-f", str(HUB_CONFIG)]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while not hub.healthy():
                alive = process.poll() is None and time.monotonic() < deadline
                assert alive, (folder / "log").read_text()
                time.sleep(0.05)
            yield hub
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The Kubernetes API, started once for all tests that need it."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), free_port())
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The emulated cloud services, started once for all tests that need one."""
    with _running(_a_cloud(), tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def building_cloud(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildingCloud]:
    """The emulated cloud services with Cloud Build, whose steps are pods that do what a test says."""
    folder = tmp_path_factory.mktemp("building-cloud")
    made = BuildingCloud(cloud=_a_cloud(), cluster=cluster, namespace=cluster.namespace(), folder=folder / "builds")
    made.write_settings(folder / "builds.yaml")
    with _running(made.cloud, folder, "--builds", str(folder / "builds.yaml")):
        yield made


def _a_cloud() -> Cloud:
    return Cloud(pubsub_port=free_port(), registry_port=free_port(), http_port=free_port())


@contextmanager
def _running(cloud: Cloud, folder: Path, *flags: str) -> Iterator[Cloud]:
    cloud.write_credentials(folder / "credentials.json")
    ports = ("--pubsub-port", cloud.pubsub_port, "--registry-port", cloud.registry_port, "--http-port", cloud.http_port)
    command = [sys.executable, "-m", "emulator.cloud", *map(str, ports), "--state", str(folder / "state"), *flags]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--credentials", str(folder / "credentials.json")], stderr=log)
        client = HttpClient("The cloud", cloud.http_url, retry=Retry(attempts=100, longest_s=0.1))
        try:
            client.request("GET", "healthz")
            yield cloud
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Google's Pub/Sub emulator, started once for all tests that need it."""
    with java_emulators.running(java_emulators.PUBSUB, tmp_path_factory.mktemp("pubsub") / "log") as address:
        yield address
