"""Where the environment of a repository comes from: one that was built before, or the base, extended."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from emulator.engine import environment, environment_cache
from emulator.engine.installer import Installer
from emulator.engine.interpreter import Interpreter
from emulator.engine.limits import everything_below
from emulator.engine.moving import rewrite
from emulator.engine.repository import Repository
from emulator.images import Descriptor, Layer, RegistryClient, environment_layer
from emulator.images.manifest import ENVIRONMENT_ANNOTATION


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
        """The layer for the image; yields the log. A Descriptor is in the image's repository already.

        What a postBuild did to an environment is in this image only.
        """
        key = environment_cache.key_of(wanted, python=python, root=self.root, today=today)
        layer = yield from self._installed(wanted, python, key, today=today)
        if not wanted.post_build:
            return self._handed_over(layer)
        if not self.installer.environment.exists():
            assert isinstance(layer, Descriptor)
            self._restore(layer)
            # The base does not mention its folder; what a repository asked for may.
            rewrite(
                self.installer.environment,
                {Path(layer.annotations[ENVIRONMENT_ANNOTATION]): self.installer.environment},
            )
        before = _state_of(self.installer.environment)
        yield from environment.post_build(wanted, self.installer)
        if isinstance(layer, Descriptor) and _state_of(self.installer.environment) == before:
            return self._handed_over(layer)
        yield from environment.compile_all(self.installer)
        return self._handed_over(self._packed())

    def _installed(
        self, wanted: Repository, python: Interpreter, key: str, *, today: date
    ) -> Generator[str, None, Layer | Descriptor]:
        """The environment with all that is to be installed; in `<job>/environment`, unless it was built before."""
        if key and (found := environment_cache.find(self.client, key)):
            yield "Taking the environment that was built before from the same requirements\n"
            return found
        base = yield from self._base(wanted, python, today=today)
        if wanted.asks_nothing:
            return base
        yield from environment.extend(wanted, self.installer)
        layer = self._packed()
        return self._kept(key, layer) if key else layer

    def _base(self, wanted: Repository, python: Interpreter, *, today: date) -> Generator[str, None, Descriptor]:
        """Make `<job>/environment` the base."""
        nothing = Repository(folder=wanted.folder)
        key = environment_cache.key_of(nothing, python=python, root=self.root, today=today)
        if not wanted.asks_nothing and (found := environment_cache.find(self.client, key)):
            yield "Taking the base that was built before\n"
            self._restore(found)
            return found
        yield from environment.build_base(python.path, self.installer)
        return self._kept(key, self._packed())

    def _restore(self, layer: Descriptor) -> None:
        environment_cache.restore(self.client, layer, into=self.installer.environment)

    def _packed(self) -> Layer:
        return environment_layer(environment.entries_of(self.installer, root=self.root), root=self.root)

    def _kept(self, key: str, layer: Layer) -> Descriptor:
        self.say(f"Pushing the environment ({layer.descriptor.size / 1e6:.0f} MB)")
        environment_cache.keep(self.client, key, layer)
        return layer.descriptor

    def _handed_over(self, layer: Layer | Descriptor) -> Layer | Descriptor:
        """The layer itself, or a Descriptor when the registry has it already, as after a postBuild that left the
        environment as it was."""
        descriptor = layer.descriptor if isinstance(layer, Layer) else layer
        if isinstance(layer, Layer) and not self.client.has_blob(environment_cache.REPOSITORY, descriptor.digest):
            return layer
        environment_cache.hand_over(self.client, descriptor, repository=self.repository)
        return descriptor


def _state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Tells whether anything in a folder was changed: strangers can set the time of a file, not that of its change."""
    return {path: (status.st_ino, status.st_ctime_ns) for path, status in everything_below(folder)}
