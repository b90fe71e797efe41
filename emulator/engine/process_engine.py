"""The plugin itself: what repo2docker calls, and the order of a build."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from repo2docker.engine import BuildError, ContainerEngine
from repo2docker.utils import R2dState

from emulator.engine import confinement, interpreter, secrets
from emulator.engine.appendix import with_appendix
from emulator.engine.children import ended_by_sigterm
from emulator.engine.environment_source import EnvironmentSource
from emulator.engine.errors import BuildFailed
from emulator.engine.home import Home, home_of, lay_out, without_ways_out
from emulator.engine.image import HOME, USER, config_of, labels_of
from emulator.engine.installer import Installer
from emulator.engine.limits import limits_from
from emulator.engine.moving import linked_inside, moved
from emulator.engine.offline import tolerant, without_dockerfile
from emulator.engine.repository import Repository, read
from emulator.images import (
    Config,
    ImageError,
    Layer,
    Reference,
    RegistryClient,
    home_layer,
    push,
    scan,
)
from emulator.images.kept import keep
from emulator.images.manifest import ENVIRONMENT_ANNOTATION

_CREDENTIALS = "CONTAINER_ENGINE_REGISTRY_CREDENTIALS"
_ENVIRONMENTS = "BINDERLESS_ENVIRONMENTS"
_IMAGE_STORE = "BINDERLESS_IMAGE_STORE"
_UNASKED = "this machine's: the repository does not name a version"


class ProcessEngine(ContainerEngine):  # type: ignore[misc]  # repo2docker has no types
    """Builds Python environments and pushes them, or keeps them to be pushed by somebody else; runs none.

    Environment: BINDERLESS_ENVIRONMENTS is the folder where the kubelet restores environments; UV_CACHE_DIR a cache of
    packages shared by builds; CONTAINER_ENGINE_REGISTRY_CREDENTIALS as repo2docker documents it; BINDERLESS_IMAGE_STORE
    the folder for images that are not to be pushed (emulator/images/kept.py).
    """

    string_output = True

    def __init__(self, *, parent: Any) -> None:
        super().__init__(parent=parent)
        self._credentials: dict[str, str] = json.loads(secrets.take(_CREDENTIALS, os.environ) or "{}")
        parent.content_providers = [tolerant(provider) for provider in parent.content_providers]
        parent.buildpacks = [without_dockerfile(pack) for pack in parent.buildpacks]
        parent.default_buildpack = without_dockerfile(parent.default_buildpack)

    def inspect_image(self, image: str) -> None:
        """Images are in the registry only, which our caller looks through before it asks for a build."""

    def build(
        self, *, push: bool = False, tag: str = "", fileobj: Any = None, buildargs: Any = None, **_: Any
    ) -> Iterator[str]:
        """Build and push; yields the log, line by line. Raises BuildError after having logged the reason."""
        try:
            keeps = self._checked(push, buildargs or {})
            reference = Reference.parse(tag)
            with (
                ended_by_sigterm(),
                tempfile.TemporaryDirectory(prefix="binderless-", ignore_cleanup_errors=True) as job,
                RegistryClient(reference.registry, self._login(reference)) as client,
            ):
                yield from self._build(client, reference, fileobj, self._installer(Path(job).resolve()), keeps)
        except (BuildFailed, ImageError, OSError) as error:
            self.log.error(f"{error}\n", extra={"phase": R2dState.FAILED})
            raise BuildError(str(error)) from error

    def _checked(self, push: bool, arguments: dict[str, str]) -> Path | None:
        """Where to keep the image; None when it is to be pushed."""
        store = os.environ.get(_IMAGE_STORE, "")
        if not push and not store:
            raise BuildFailed("The process engine keeps images in a registry only: use --push.")
        with_appendix(Config(env={}, labels={}), self.parent.appendix)
        if arguments.get("NB_USER", USER) != USER or arguments.get("REPO_DIR", HOME) != HOME:
            raise BuildFailed(f"The process engine builds for the user {USER} in {HOME} only.")
        return None if push else Path(store)

    def _login(self, reference: Reference) -> str:
        registry = self._credentials.get("registry", "").removeprefix("http://").rstrip("/")
        if registry != reference.registry:
            return ""
        return f"{self._credentials['username']}:{self._credentials['password']}"

    def _root(self) -> Path:
        root = os.environ.get(_ENVIRONMENTS, "")
        if not os.path.isabs(root):
            raise BuildFailed(f"{_ENVIRONMENTS} must name the folder where environments are restored, from the root.")
        return Path(root)

    def _installer(self, job: Path) -> Installer:
        confine = confinement.available()
        if not confine:
            self.log.warning(
                "No bubblewrap inside this build: packages run build scripts with its rights, without shared cache.\n",
                extra={"phase": R2dState.BUILDING},
            )
        cache = os.environ.get("UV_CACHE_DIR")
        return Installer(
            job=job,
            environ=os.environ,
            shared_cache=Path(cache) if cache else None,
            confine=confine,
            limits=limits_from(os.environ, now=time.monotonic()),
        )

    def _build(
        self, client: RegistryClient, reference: Reference, context: Any, installer: Installer, keeps: Path | None
    ) -> Iterator[str]:
        repository = read(self._detect(), Path.cwd())
        python = interpreter.find(repository.python, installer)
        yield f"Python {python.version} ({'as the repository asks' if repository.python else _UNASKED})\n"
        source = EnvironmentSource(client, reference.repository, installer, root=self._root(), say=self._say_pushing)
        with tarfile.open(fileobj=context) as files:
            home = home_of(files, scripts={repository.start, repository.post_build})
            if too_large := installer.limits.too_large(sum(entry.size for entry in home.entries)):
                raise BuildFailed(too_large)
            yield from _left_out(home)
            if repository.changes_home:
                lay_out(home, installer.home)
            layer = yield from source.layer(repository, python, today=datetime.now(UTC).date())
            descriptor = layer.descriptor if isinstance(layer, Layer) else layer
            environment = Path(descriptor.annotations[ENVIRONMENT_ANNOTATION])
            if repository.changes_home:
                home = _as_left(installer, environment)
                yield from _left_out(home)
            config = self._config(repository, environment, python)
            layers = [layer, home_layer(home.entries)]
            if keeps is not None:
                keep(keeps, client, reference, config, layers)
                yield f"Successfully tagged {reference}\n"
                return
            self._say_pushing(f"Pushing {reference}")
            digest = push(client, reference, config, layers)
        self._say_pushing(f"Pushed {reference.registry}/{reference.repository}@{digest}")

    def _config(self, repository: Repository, environment: Path, python: interpreter.Interpreter) -> Config:
        user_id, labels = str(self.parent.user_id), labels_of(self.parent)
        config = config_of(repository, environment=environment, python=python, user_id=user_id, labels=labels)
        return with_appendix(config, self.parent.appendix)

    def _detect(self) -> Any:
        """The build pack that repo2docker picked: it does not tell us, so its own steps are taken again."""
        for kind in self.parent.buildpacks:
            pack = kind(base_image=self.parent.base_image)
            if pack.detect():
                return pack
        return self.parent.default_buildpack(base_image=self.parent.base_image)

    def _say_pushing(self, message: str) -> None:
        self.log.info(f"{message}\n", extra={"phase": R2dState.PUSHING})


def _as_left(installer: Installer, environment: Path) -> Home:
    """The home folder as the build left it, for a server whose environment is in the folder *environment*."""
    built = installer.home
    if built.is_symlink():
        raise BuildFailed("The build replaced its home folder by a link.")
    entries = moved(scan(built), {installer.environment: environment, built: Path(HOME)})
    return without_ways_out(linked_inside(entries, [built, Path(HOME)]))


def _left_out(home: Home) -> Iterator[str]:
    for link in home.left_out:
        yield f"Left out {link}: it points out of the repository\n"
