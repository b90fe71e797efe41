"""Where the environment of a repository comes from: one that was built before, or the base, extended."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from emulator.engine import environment, environment_cache
from emulator.engine.installer import Installer
from emulator.engine.interpreter import Interpreter
from emulator.engine.repository import Repository
from emulator.images import Descriptor, Layer, RegistryClient, environment_layer

Log = Generator[str, None, None]


@dataclass(frozen=True, slots=True)
class EnvironmentSource:
    """*repository* is the image's own in the registry, *root* the folder where the kubelet restores environments."""

    client: RegistryClient
    repository: str
    installer: Installer
    root: Path
    say: Callable[[str], None]

    def layer(
        self, wanted: Repository, python: Interpreter, *, today: date
    ) -> Generator[str, None, Layer | Descriptor]:
        """The layer for the image; yields the log. A Descriptor is in the image's repository already."""
        key = environment_cache.key_of(wanted, python=python, root=self.root, today=today)
        if key and (found := environment_cache.find(self.client, key)):
            yield "Taking the environment that was built before from the same requirements\n"
            return self._handed_over(found)
        base = yield from self._base(wanted, python, today=today)
        if wanted.asks_nothing:
            return self._handed_over(base)
        yield from environment.extend(wanted, self.installer)
        layer = self._packed()
        if not key:
            return layer
        return self._handed_over(self._kept(key, layer))

    def _base(self, wanted: Repository, python: Interpreter, *, today: date) -> Generator[str, None, Descriptor]:
        """Make `<job>/environment` the base."""
        nothing = Repository(folder=wanted.folder)
        key = environment_cache.key_of(nothing, python=python, root=self.root, today=today)
        if not wanted.asks_nothing and (found := environment_cache.find(self.client, key)):
            yield "Taking the base that was built before\n"
            environment_cache.restore(self.client, found, into=self.installer.job / "environment")
            return found
        yield from environment.build_base(python.path, self.installer)
        return self._kept(key, self._packed())

    def _packed(self) -> Layer:
        entries = environment.entries_of(self.installer.job / "environment")
        return environment_layer(entries, root=self.root)

    def _kept(self, key: str, layer: Layer) -> Descriptor:
        self.say(f"Pushing the environment ({layer.descriptor.size / 1e6:.0f} MB)")
        environment_cache.keep(self.client, key, layer)
        return layer.descriptor

    def _handed_over(self, layer: Descriptor) -> Descriptor:
        environment_cache.hand_over(self.client, layer, repository=self.repository)
        return layer
