"""An image of the process runtime, read by programs that know nothing of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.images import Config, Reference, RegistryClient, environment_layer, home_layer, push, scan
from emulator.images.references import NOWHERE
from tests.fakes.oci_registry import CREDENTIALS, OciRegistry

ROOT = Path("/srv/environments")


@pytest.fixture
def layout(registry: OciRegistry, tmp_path: Path) -> Path:
    """An image in a registry, taken out as a folder of the image specification's layout."""
    environment, home = tmp_path / "environment", tmp_path / "home"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "hello").write_text(f"#!{ROOT}/{NOWHERE}/bin/python\n")
    (environment / "bin" / "hello").chmod(0o755)
    (environment / "bin" / "python").symlink_to("/usr/bin/python3.11")
    (home / ("long" * 30) / ("name" * 30)).mkdir(parents=True)
    (home / "größer.ipynb").write_text("{}")
    (home / "link").symlink_to("größer.ipynb")
    layers = [environment_layer(scan(environment), root=ROOT), home_layer(scan(home))]
    config = Config(env={"A": "b"}, labels={"binderless.runtime": "process"})
    with RegistryClient(registry.address, CREDENTIALS) as client:
        push(client, Reference(registry.address, "tests/image", "v1"), config, layers)
    return taken_out(registry, tmp_path / "layout")


def taken_out(registry: OciRegistry, layout: Path) -> Path:
    """https://github.com/opencontainers/image-spec/blob/main/image-layout.md"""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for (_, digest), content in {**registry.blobs, **registry.manifests}.items():
        if digest.startswith("sha256:"):
            (blobs / digest.removeprefix("sha256:")).write_bytes(content)
    manifest = registry.manifests["tests/image", "v1"]
    [digest] = [name for (_, name), content in registry.manifests.items() if content == manifest and name != "v1"]
    described = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": "v1"},
    }
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return layout


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
def test_skopeo_inspects_it(layout: Path) -> None:
    command = ["skopeo", "inspect", f"oci:{layout}:v1"]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert shown["Labels"] == {"binderless.runtime": "process"} and shown["Env"] == ["A=b"]
    assert len(shown["Layers"]) == 2


@pytest.mark.skipif(shutil.which("umoci") is None, reason="needs umoci")
def test_umoci_unpacks_it(layout: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    rootless = () if os.geteuid() == 0 else ("--rootless",)
    subprocess.run(["umoci", "unpack", *rootless, "--image", f"{layout}:v1", str(bundle)], check=True, timeout=60)
    root = bundle / "rootfs"
    [environment] = (root / "srv/environments").iterdir()
    assert (environment / "bin/hello").read_text() == f"#!{ROOT}/{environment.name}/bin/python\n"
    assert os.access(environment / "bin/hello", os.X_OK)
    assert (root / "home/jovyan/link").read_text() == "{}"
    assert (root / "home/jovyan" / ("long" * 30) / ("name" * 30)).is_dir()
