"""A cloud that builds on a real cluster emulator, and clients for it: Google's own, and plain HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml
from google.api_core.client_options import ClientOptions
from google.auth.credentials import Credentials
from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient

from tests.emulator.cloud.conftest import CREDENTIALS, Cloud, eventually, running
from tests.emulator.kubelet.cluster import SHELL, TOKEN, Cluster
from tests.ports import free_port

PROJECT, REGION, BUCKET = "p1", "europe-west1", "logs-of-builds"
BUILDS_TOKEN = "token-of-builds"
TERMINAL = ("SUCCESS", "FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED")


class StaticToken(Credentials):  # type: ignore[misc]  # google-auth has no types
    """Credentials of google-auth that are one token for ever."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def refresh(self, request: Any) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class BuildCloud:
    """The cloud process, and requests to its Cloud Build with the token."""

    cloud: Cloud
    cluster: Cluster
    namespace: str
    http: urllib3.PoolManager

    @property
    def url(self) -> str:
        return f"http://{self.cloud.http}"

    def client(self, token: str = BUILDS_TOKEN) -> Any:
        """Google's client, over REST."""
        options = ClientOptions(api_endpoint=self.url)
        return CloudBuildClient(transport="rest", credentials=StaticToken(token), client_options=options)

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str = BUILDS_TOKEN, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        content = None if body is None else json.dumps(body)
        return self.http.request(method, f"{self.url}{path}", body=content, headers={**bearer, **named})

    def builds(self, path: str = "", *, location: str = REGION) -> str:
        return f"/v1/projects/{PROJECT}/locations/{location}/builds{path}"

    def create(self, build: Mapping[str, Any]) -> dict[str, Any]:
        """The build that the operation tells of."""
        answer = self.ask("POST", self.builds(), build)
        assert answer.status == 200, answer.data
        created: dict[str, Any] = json.loads(answer.data)["metadata"]["build"]
        return created

    def refusal(self, build: Mapping[str, Any]) -> str:
        """The words in which a build is refused as invalid."""
        answer = self.ask("POST", self.builds(), build)
        assert answer.status == 400, answer.data
        return str(json.loads(answer.data)["error"]["message"])

    def get(self, build_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("GET", self.builds(f"/{build_id}")).data)
        return found

    def ended(self, build: Mapping[str, Any]) -> dict[str, Any]:
        """The build when it has ended."""
        return self.awaited(build, *TERMINAL)

    def awaited(self, build: Mapping[str, Any], *statuses: str) -> dict[str, Any]:
        def arrived() -> dict[str, Any] | None:
            found = self.get(build["id"])
            return found if found["status"] in statuses else None

        found: dict[str, Any] = eventually(arrived, within_s=40)
        return found

    def log(self, build: Mapping[str, Any], **headers: str) -> urllib3.BaseHTTPResponse:
        return self.ask("GET", f"/{BUCKET}/log-{build['id']}.txt", **headers)

    def admin(self, path: str, body: Any) -> Any:
        answer = self.ask("PUT", f"/admin{path}", body, token=str(CREDENTIALS["admin_token"]))
        return json.loads(answer.data)

    def read(self, build: Mapping[str, Any]) -> str:
        """The whole log of a build."""
        answer = self.log(build)
        assert answer.status == 200, answer.data
        return answer.data.decode()

    def pods(self) -> list[Any]:
        return list(self.cluster.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"])


def a_build(*scripts: str, **fields: Any) -> dict[str, Any]:
    """A build whose steps are shell scripts."""
    steps = [{"name": SHELL, "entrypoint": "sh", "args": ["-c", script]} for script in scripts]
    return {"steps": steps, "logsBucket": f"gs://{BUCKET}", **fields}


def write_settings(folder: Path, cluster: Cluster, namespace: str, registry: str, **changes: Any) -> Path:
    """The file for --builds."""
    settings = {
        "project": PROJECT,
        "token": BUILDS_TOKEN,
        "cluster_url": cluster.url,
        "cluster_token": TOKEN,
        "namespace": namespace,
        "folder": str(cluster.state.parent / "allowed" / namespace),
        "registry": registry,
        "registry_login": "builder:build-password",
    }
    path = folder / "builds.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    return path


@contextmanager
def building_cloud(folder: Path, cluster: Cluster, **changes: Any) -> Iterator[BuildCloud]:
    """A cloud of its own over *folder*; started again over the same one, it goes on."""
    remembered = folder / "where.json"
    if not remembered.exists():
        remembered.write_text(json.dumps([cluster.namespace().name, free_port()]))
    namespace, registry = json.loads(remembered.read_text())
    settings = write_settings(folder, cluster, namespace, f"127.0.0.1:{registry}", **changes)
    flags = ("--builds", str(settings))
    with running(folder, *flags, ports=(0, registry, 0)) as cloud, urllib3.PoolManager(retries=False) as http:
        yield BuildCloud(cloud, cluster, namespace, http)
