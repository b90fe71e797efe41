from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emulator.images import PulledImage, pull
from emulator.images.__main__ import main
from tests.fakes.oci_registry import CREDENTIALS, OciRegistry


@pytest.fixture
def options(registry: OciRegistry, tmp_path: Path) -> list[str]:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"{CREDENTIALS}\n")
    return ["--registry", registry.address, "--credentials", str(credentials)]


def pulled(registry: OciRegistry, name: str, root: Path) -> PulledImage:
    reference = f"{registry.address}/{name}"
    return asyncio.run(pull(reference, registry=registry.address, credentials=CREDENTIALS, root=root))


def test_the_builder_finds_its_commands_and_says_which_folders_it_needs(
    registry: OciRegistry, options: list[str], tmp_path: Path
) -> None:
    paths = ["--path", "/srv/venv/bin", "--host-paths", "/srv/venv", "/srv/project"]
    assert main(["push-builder", *options, *paths]) == 0
    image = pulled(registry, "binderless/repo2docker", tmp_path)
    assert image.env["PATH"].startswith("/srv/venv/bin:")
    assert image.labels["binderless.host-paths"] == "/srv/venv:/srv/project"
    assert (image.entrypoint, image.environment) == ((), None)


def test_the_shell_starts_a_shell(registry: OciRegistry, options: list[str], tmp_path: Path) -> None:
    assert main(["push-shell", *options]) == 0
    image = pulled(registry, "binderless/shell", tmp_path)
    assert (image.command, image.env["PATH"]) == (("/bin/sh",), "/usr/bin:/bin")
    assert list(image.home.iterdir()) == []


def test_pushing_again_sends_no_blob(registry: OciRegistry, options: list[str]) -> None:
    assert main(["push-shell", *options]) == 0
    sent = len(registry.uploads)
    assert main(["push-shell", *options]) == 0
    assert len(registry.uploads) == sent


def test_a_registry_that_is_gone_is_said_so(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options[1] = "127.0.0.1:9"
    assert main(["push-shell", *options]) == 1
    assert capsys.readouterr().err == "The registry 127.0.0.1:9 does not answer.\n"
