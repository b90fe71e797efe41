"""`images` of a build: pushed by the service after the steps, from where the steps have left them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.images import Config, ImageError, Reference, RegistryClient, home_layer
from emulator.images.kept import keep, kept
from emulator.images.manifest import digest_of
from tests.emulator.cloud.building import BuildCloud, a_build, building_cloud
from tests.emulator.kubelet.cluster import Cluster


@pytest.fixture(scope="module")
def builder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildCloud]:
    with building_cloud(tmp_path_factory.mktemp("builder"), cluster) as made:
        yield made


@pytest.fixture
def manifest(builder: BuildCloud, tmp_path: Path) -> bytes:
    """The manifest of an image whose blobs are in the registry, as an engine leaves it."""
    reference = Reference.parse(f"{builder.cloud.registry}/tests/built-1:1")
    with RegistryClient(builder.cloud.registry, "builder:build-password") as client:
        keep(tmp_path, client, reference, Config(env={}, labels={}), [home_layer([])])
    content = kept(tmp_path, reference)
    assert content is not None
    return content


def leaves(manifest: bytes, image: str) -> str:
    """The script of a step that leaves *manifest* as an engine would."""
    file = hashlib.sha256(image.encode()).hexdigest() + ".json"
    text = manifest.decode()
    assert "'" not in text and "$" not in text
    return f"printf %s '{text}' > $$BINDERLESS_IMAGE_STORE/{file}"


def test_an_image_is_pushed_and_its_digest_is_a_result(builder: BuildCloud, manifest: bytes) -> None:
    image = f"{builder.cloud.registry}/tests/built-1:1"
    script = leaves(manifest, image)
    ended = builder.ended(builder.create(a_build(script, images=[image])))
    assert ended["status"] == "SUCCESS", builder.read(ended)
    (result,) = ended["results"]["images"]
    assert (result["name"], result["digest"]) == (image, digest_of(manifest))
    assert builder.read(ended).splitlines()[-4:-1] == [
        "PUSH",
        f"Pushing {image}",
        f"1: digest: {digest_of(manifest)} size: {len(manifest)}",
    ]
    with RegistryClient(builder.cloud.registry, "puller:pull-password") as client:
        assert client.manifest(Reference.parse(image))[0] == manifest


def test_an_image_that_no_step_has_made_is_not_found(builder: BuildCloud) -> None:
    image = f"{builder.cloud.registry}/tests/built-2:1"
    ended = builder.ended(builder.create(a_build("true", images=[image])))
    assert (ended["status"], ended["failureInfo"]["type"]) == ("FAILURE", "PUSH_IMAGE_NOT_FOUND")


def test_an_image_that_the_builder_may_not_push_is_not_authorized(builder: BuildCloud, manifest: bytes) -> None:
    image = f"{builder.cloud.registry}/others/image:1"
    script = leaves(manifest, image)
    ended = builder.ended(builder.create(a_build(script, images=[image])))
    assert (ended["status"], ended["failureInfo"]["type"]) == ("FAILURE", "PUSH_NOT_AUTHORIZED")


def test_an_image_that_the_registry_refuses_is_not_pushed(builder: BuildCloud) -> None:
    image = f"{builder.cloud.registry}/tests/built-3:1"
    content = json.dumps({"schemaVersion": 2}).encode()
    script = leaves(content, image)
    ended = builder.ended(builder.create(a_build(script, images=[image])))
    assert (ended["status"], ended["failureInfo"]["type"]) == ("FAILURE", "PUSH_FAILED")


@pytest.mark.parametrize("command", ["ln -s {secret}", "mkdir"])
def test_a_step_cannot_make_the_service_read_another_file(builder: BuildCloud, command: str) -> None:
    image = f"{builder.cloud.registry}/tests/built-4:1"
    file = leaves(b"", image).rpartition(" ")[2]
    script = f"{command.format(secret=builder.cloud.state.parent / 'credentials.json')} {file}"
    ended = builder.ended(builder.create(a_build(script, images=[image])))
    assert ended["failureInfo"]["type"] == "PUSH_IMAGE_NOT_FOUND"


def test_a_step_cannot_make_the_service_wait_for_ever(builder: BuildCloud) -> None:
    image = f"{builder.cloud.registry}/tests/built-6:1"
    script = f"mkfifo {leaves(b'', image).rpartition(' ')[2]}"
    ended = builder.ended(builder.create(a_build(script, images=[image])))
    assert ended["failureInfo"]["type"] == "PUSH_FAILED"


def test_a_failed_step_pushes_nothing(builder: BuildCloud, manifest: bytes) -> None:
    image = f"{builder.cloud.registry}/tests/built-5:1"
    script = leaves(manifest, image)
    ended = builder.ended(builder.create(a_build(f"{script}; exit 1", images=[image])))
    assert "results" not in ended
    with (
        RegistryClient(builder.cloud.registry, "puller:pull-password") as client,
        pytest.raises(ImageError, match="There is no image"),
    ):
        client.manifest(Reference.parse(image))
