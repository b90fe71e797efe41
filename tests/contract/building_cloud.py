"""The emulated Cloud Build over a cluster whose pods do what a test says."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import urllib3
import yaml

from emulator.cloud.builds.pods import images_folder
from emulator.images import Config, Reference, RegistryClient, home_layer
from emulator.images.kept import keep
from functions.adapters.builds.cloud_build import CloudBuilds
from functions.adapters.builds.cloud_build_api import CloudBuildApi
from functions.adapters.builds.cloud_build_request import BuildOrder
from tests.contract.cloud import Cloud
from tests.contract.cluster import Cluster

PROJECT, BUCKET = "p1", "logs-of-builds"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildingCloud:
    cloud: Cloud
    cluster: Cluster
    namespace: str
    folder: Path

    def write_settings(self, path: Path) -> None:
        """Write what the emulator is told with --builds."""
        settings = {
            "project": PROJECT,
            "token": self.cloud.token,
            "cluster_url": self.cluster.url,
            "cluster_token": self.cluster.token,
            "namespace": self.namespace,
            "folder": str(self.folder),
            "registry": self.registry,
            "registry_login": f"builder:{self.cloud.token}",
            "concurrent": 200,
        }
        path.write_text(yaml.safe_dump(settings))

    @property
    def registry(self) -> str:
        return self.cloud.registry_url.removeprefix("http://")

    def api(self) -> CloudBuildApi:
        """Cloud Build in a region of its own, so that no other test's builds are there."""
        return CloudBuildApi(
            project=PROJECT,
            region=f"region-{secrets.token_hex(4)}",
            endpoint=self.cloud.http_url,
            storage_endpoint=self.cloud.http_url,
            token=self.cloud.token,
        )

    def backend(self, api: CloudBuildApi) -> CloudBuilds:
        """The adapter over *api*."""
        account = f"projects/{PROJECT}/serviceAccounts/builder@{PROJECT}.iam.gserviceaccount.com"
        order = BuildOrder(image="repo2docker:1", service_account=account, log_bucket=BUCKET)
        return CloudBuilds(api, order, sleep=lambda _: None)

    def leave_image(self, build_id: str, image: str) -> None:
        """Put *image* where the step of a build would have left it."""
        store = images_folder(self.folder, build_id)
        store.mkdir(parents=True, exist_ok=True)
        with RegistryClient(self.registry, f"builder:{self.cloud.token}") as client:
            keep(store, client, Reference.parse(image), Config(env={}, labels={}), [home_layer([])])

    def trouble(self, **switches: int) -> None:
        """Let creates fail, as the emulator's admin interface says."""
        headers = {"Authorization": f"Bearer {self.cloud.token}"}
        url = f"{self.cloud.http_url}/admin/builds/faults"
        with urllib3.PoolManager() as http:
            assert http.request("PUT", url, json=switches, headers=headers).status < 300
