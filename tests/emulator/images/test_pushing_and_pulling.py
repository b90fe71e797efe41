from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from emulator.images import (
    Config,
    ImageError,
    PulledImage,
    Reference,
    RegistryClient,
    environment_layer,
    home_layer,
    pull,
    push,
    scan,
)
from tests.fakes.oci_registry import CREDENTIALS, OciRegistry

CONFIG = Config(
    env={"PATH": "/bin", "EMPTY": "", "EQUALS": "a=b"},
    labels={"binderless.runtime": "process"},
    entrypoint=("/bin/start",),
    command=("run", "it"),
)


def pushed(client: RegistryClient, folder: Path, root: Path, config: Config = CONFIG) -> str:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    (home / "notebook.ipynb").write_text("{}")
    layers = [environment_layer(scan(folder), root=root / "environments"), home_layer(scan(home))]
    reference = Reference(client.registry, "binder/example", "v1")
    push(client, reference, config, layers)
    return str(reference)


def pulled(reference: str, root: Path, *, registry: str | None = None) -> PulledImage:
    parsed = Reference.parse(reference)
    return asyncio.run(pull(reference, registry=registry or parsed.registry, credentials=CREDENTIALS, root=root))


def test_what_is_pushed_is_what_is_pulled(client: RegistryClient, folder: Path, tmp_path: Path) -> None:
    image = pulled(pushed(client, folder, tmp_path), tmp_path)
    assert (image.env, image.entrypoint, image.command) == (CONFIG.env, ("/bin/start",), ("run", "it"))
    assert image.working_dir == "/home/jovyan"
    assert (
        image.environment is not None and (image.environment / "lib64" / "site" / "module.py").read_text() == "x = 1\n"
    )
    assert (image.home / "notebook.ipynb").read_text() == "{}"


def test_a_blob_that_the_registry_has_is_not_sent_again(
    client: RegistryClient, registry: OciRegistry, folder: Path, tmp_path: Path
) -> None:
    pushed(client, folder, tmp_path)
    sent = list(registry.uploads)
    pushed(client, folder, tmp_path)
    assert registry.uploads == sent and len(sent) == 3


class Troubled(RegistryClient):
    """Speaks to a registry that does not answer the first requests of each kind."""

    def __init__(self, registry: str, *, passing: bool) -> None:
        super().__init__(registry, CREDENTIALS)
        self.troubles, self.passing = 2, passing

    def put_manifest(self, reference: Reference, content: bytes) -> str:
        if self.troubles:
            self.troubles -= 1
            raise ImageError("The registry does not answer.", passing=self.passing)
        return super().put_manifest(reference, content)


def test_a_registry_that_is_started_again_costs_no_image(registry: OciRegistry, folder: Path, tmp_path: Path) -> None:
    slept: list[float] = []
    with Troubled(registry.address, passing=True) as client:
        reference = Reference(registry.address, "binder/example", "v1")
        push(client, reference, CONFIG, [environment_layer(scan(folder), root=tmp_path)], sleep=slept.append)
        assert client.manifest(reference)
    assert slept == [1, 2]


def test_a_registry_that_refuses_is_asked_once(registry: OciRegistry, folder: Path, tmp_path: Path) -> None:
    client = Troubled(registry.address, passing=False)
    with client, pytest.raises(ImageError):
        pushed(client, folder, tmp_path)
    assert client.troubles == 1


def test_an_image_is_pulled_by_digest(client: RegistryClient, folder: Path, tmp_path: Path) -> None:
    image = pulled(pushed(client, folder, tmp_path), tmp_path)
    again = pulled(f"{client.registry}/binder/example@{image.digest}", tmp_path)
    assert again.digest == image.digest


def test_a_deleted_cache_costs_only_time(client: RegistryClient, folder: Path, tmp_path: Path) -> None:
    reference = pushed(client, folder, tmp_path)
    first = pulled(reference, tmp_path)
    shutil.rmtree(tmp_path / "environments")
    shutil.rmtree(tmp_path / "images")
    assert pulled(reference, tmp_path) == first
    assert first.environment is not None and first.environment.is_dir()


def test_many_pulls_at_once_make_one_folder(client: RegistryClient, folder: Path, tmp_path: Path) -> None:
    reference = pushed(client, folder, tmp_path)

    async def many() -> set[Path | None]:
        pulls = (pull(reference, registry=client.registry, credentials=CREDENTIALS, root=tmp_path) for _ in range(8))
        return {image.environment for image in await asyncio.gather(*pulls)}

    [environment] = asyncio.run(many())
    assert environment is not None
    assert [path.name for path in (tmp_path / "environments").iterdir() if path.is_dir()] == [environment.name]


def test_an_image_that_is_not_there_is_missing(client: RegistryClient, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="There is no image") as caught:
        pulled(f"{client.registry}/binder/none:v1", tmp_path)
    assert caught.value.missing


def test_an_image_for_containers_is_refused_with_the_reason(
    client: RegistryClient, folder: Path, tmp_path: Path
) -> None:
    reference = pushed(client, folder, tmp_path, Config(env={}, labels={}))
    with pytest.raises(ImageError, match="is an image for containers") as caught:
        pulled(reference, tmp_path)
    assert not caught.value.missing


@pytest.mark.parametrize("reference", ["busybox", "docker.io/library/busybox:1", "quay.io/a/b", "127.0.0.1:1/a"])
def test_another_registry_is_not_reachable(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ImageError, match="not reachable from here: images of this cluster are at 127.0.0.1:5000"):
        pulled(reference, tmp_path, registry="127.0.0.1:5000")


def test_a_registry_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"The registry 127.0.0.1:9 does not answer"):
        pulled("127.0.0.1:9/a:b", tmp_path)


def test_wrong_credentials_are_named(registry: OciRegistry, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="refuses our credentials"):
        asyncio.run(pull(f"{registry.address}/a:b", registry=registry.address, credentials="x:y", root=tmp_path))


def test_content_that_is_not_what_its_digest_says_is_refused(
    client: RegistryClient, registry: OciRegistry, folder: Path, tmp_path: Path
) -> None:
    reference = pushed(client, folder, tmp_path)
    for key, content in registry.blobs.items():
        if b"module.py" in content:
            registry.blobs[key] = content.replace(b"x = 1", b"x = 2")
    with pytest.raises(ImageError, match="other content than sha256:"):
        pulled(reference, tmp_path)
    assert [path for path in (tmp_path / "environments").iterdir() if path.is_dir()] == []


def retagged(registry: OciRegistry, folder: str) -> None:
    """Make the manifest of the stranger's image claim another folder."""
    document = json.loads(registry.manifests["binder/example", "v1"])
    document["layers"][0]["annotations"]["binderless.environment"] = folder
    registry.manifests["binder/example", "v1"] = json.dumps(document).encode()


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("/etc", "does not say which environment"),
        ("{environments}/../images", "does not say which environment"),
        ("/elsewhere/" + "0" * 64, "was built for /elsewhere/"),
        ("{environments}/x/../" + "0" * 64, "was built for"),
        ("{environments}/" + "0" * 64, "is not under"),
    ],
)
def test_an_environment_is_written_nowhere_but_to_its_own_folder(
    client: RegistryClient, registry: OciRegistry, folder: Path, tmp_path: Path, claim: str, reason: str
) -> None:
    reference = pushed(client, folder, tmp_path)
    retagged(registry, claim.format(environments=tmp_path / "environments"))
    with pytest.raises(ImageError, match=reason):
        pulled(reference, tmp_path)


def test_an_environment_under_another_ones_hash_is_refused(
    client: RegistryClient, folder: Path, tmp_path: Path
) -> None:
    layer = environment_layer(scan(folder), root=tmp_path / "environments")
    false = "0" * 64
    real = Path(layer.descriptor.annotations["binderless.environment"]).name
    (folder / "lib" / "site" / "module.py").write_text("x = 'evil'\n")
    content = b"".join(environment_layer(scan(folder), root=tmp_path / "environments").blocks())
    assert false.encode() not in content
    with pytest.raises(ImageError, match="is not the one that its name says|is not under"):
        pulled(pushed_as(client, folder, tmp_path, real), tmp_path)


def pushed_as(client: RegistryClient, folder: Path, root: Path, name: str) -> str:
    """Push *folder* as the environment *name*, which it is not."""
    from emulator.images.layer import _layer

    claim = f"{root}/environments/{name}"
    layer = _layer(scan(folder), prefix=claim.lstrip("/"), annotations={"binderless.environment": claim})
    reference = Reference(client.registry, "binder/example", "false")
    push(client, reference, CONFIG, [layer])
    return str(reference)


@pytest.mark.parametrize("content", [b"[]", b"{}", b"nonsense", b'{"layers": [], "config": {"digest": 1}}'])
def test_a_broken_manifest_is_an_error_of_the_image(
    registry: OciRegistry, client: RegistryClient, tmp_path: Path, content: bytes
) -> None:
    registry.manifests["binder/example", "v1"] = content
    with pytest.raises(ImageError):
        pulled(f"{client.registry}/binder/example:v1", tmp_path)
