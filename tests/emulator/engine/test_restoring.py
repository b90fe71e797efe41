"""An environment that was built before comes back, whatever the registry does on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emulator.engine import environment_cache
from emulator.images import Descriptor, ImageError, RegistryClient, environment_layer, scan
from tests.fakes.oci_registry import CREDENTIALS, OciRegistry


class BreaksOffOnce(RegistryClient):
    """Speaks to a registry that is killed in the middle of the first blob."""

    broken = False

    def blob(self, repository: str, descriptor: Descriptor) -> Iterator[bytes]:
        for block in super().blob(repository, descriptor):
            if not self.broken:
                self.broken = True
                yield block[: len(block) // 2]
                raise ImageError("The registry does not answer.", passing=True)
            yield block


def test_a_registry_that_breaks_off_is_asked_for_the_environment_again(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "module.py").write_text("x = 1\n")
    layer = environment_layer(scan(tmp_path / "built"), root=tmp_path)
    with OciRegistry() as registry:
        client = BreaksOffOnce(registry.address, CREDENTIALS)
        environment_cache.keep(client, "key", layer)
        found = environment_cache.find(client, "key")
        assert found is not None
        with client:
            environment_cache.restore(client, found, into=tmp_path / "restored")
        assert client.broken
    assert (tmp_path / "restored" / "module.py").read_text() == "x = 1\n"
