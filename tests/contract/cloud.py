"""Where the emulated cloud services are, and who may use them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import urllib3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    pubsub_port: int
    registry_port: int
    http_port: int
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def registry_url(self) -> str:
        return f"http://127.0.0.1:{self.registry_port}"

    def write_credentials(self, path: Path) -> None:
        users = {"builder": {"password": self.token, "push": True}, "functions": {"password": self.token, "push": []}}
        path.write_text(json.dumps({"admin_token": self.token, "pubsub_token": self.token, "registry": users}))

    def push_image(self, repository: str, tag: str, content: str = "") -> str:
        """Put an image that holds nothing into the registry, and return its digest."""
        media_type = "application/vnd.oci.image.index.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [],
            "annotations": {"tag": tag, "content": content},
        }
        headers = {"Content-Type": media_type, **urllib3.make_headers(basic_auth=f"builder:{self.token}")}
        url = f"{self.registry_url}/v2/{repository}/manifests/{tag}"
        with urllib3.PoolManager() as http:
            answer = http.request("PUT", url, body=json.dumps(manifest), headers=headers)
        assert answer.status == 201, answer.data
        return answer.headers["Docker-Content-Digest"]
