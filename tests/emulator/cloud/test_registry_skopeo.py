"""The registry, judged by skopeo: an image goes in, is inspected, and comes out the same."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.emulator.cloud.conftest import Cloud

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")

PUSHER, PULLER = "pusher:push-password", "puller:pull-password"


def skopeo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["skopeo", "--insecure-policy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def blob(layout: Path, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An OCI layout with one image of one layer of 3 MB."""
    layout = tmp_path / "image"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    kind = "application/vnd.oci.image"
    content = bytes(3 * 1024 * 1024)
    layer = blob(layout, content) | {"mediaType": f"{kind}.layer.v1.tar"}
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"binderless.runtime": "process"}},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    config = blob(layout, json.dumps(document).encode()) | {"mediaType": f"{kind}.config.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": config, "layers": [layer]}
    described = blob(layout, json.dumps(manifest).encode()) | {"mediaType": f"{kind}.manifest.v1+json"}
    index = {"schemaVersion": 2, "manifests": [described]}
    (layout / "index.json").write_text(json.dumps(index))
    return layout


def test_an_image_goes_in_and_comes_out_the_same(cloud: Cloud, image: Path, tmp_path: Path) -> None:
    remote = f"docker://{cloud.registry}/tests/skopeo:v1"
    tls, as_it_is = "--dest-tls-verify=false", "--preserve-digests"
    pushed = skopeo("copy", as_it_is, tls, "--dest-creds", PUSHER, f"oci:{image}", remote)
    assert pushed.returncode == 0, pushed.stderr
    shown = skopeo("inspect", "--tls-verify=false", "--creds", PULLER, remote)
    assert json.loads(shown.stdout)["Labels"] == {"binderless.runtime": "process"}
    copy = tmp_path / "copy"
    pulled = skopeo("copy", as_it_is, "--src-tls-verify=false", "--src-creds", PULLER, remote, f"oci:{copy}:v1")
    assert pulled.returncode == 0, pulled.stderr
    assert {path.name for path in copy.rglob("sha256/*")} == {path.name for path in image.rglob("sha256/*")}


def test_who_may_only_pull_cannot_push(cloud: Cloud, image: Path) -> None:
    remote = f"docker://{cloud.registry}/tests/denied:v1"
    refused = skopeo("copy", "--dest-tls-verify=false", "--dest-creds", PULLER, f"oci:{image}", remote)
    assert "may not push" in refused.stderr
