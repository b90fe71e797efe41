"""An image of one's own: a folder, a command, and the machine's programs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path

from emulator.alone.plan import has_registry, pusher_login, registry_of
from emulator.images.client import RegistryClient
from emulator.images.errors import ImageError
from emulator.images.reference import Reference
from emulator.images.stock import push_own, push_shell
from emulator.images.tree import scan
from emulator.kubelet.images import OPERATOR_REPOSITORY
from emulator.stack.commands import FAILED, HEALTHY, say
from emulator.stack.parts import StackFailed
from emulator.stack.state import StateFolder


def push_shell_image(registry: str, login: Path) -> None:
    """Push the image that every cluster has to *registry*, HOST:PORT. Raises StackFailed."""
    try:
        with RegistryClient(registry, login.read_text().strip()) as client:
            push_shell(client)
    except (ImageError, OSError) as error:
        raise StackFailed(f"there is no shell image: {error}") from error


def push_image(state: StateFolder, options: argparse.Namespace) -> int:
    """Push what the command line describes to the registry of the cluster that runs in *state*, and say its name."""
    if not has_registry(state):
        # Whoever listens at the port of last time is not to be told the password.
        say(f"No cluster with a registry runs in {state.path}; start one: python -m emulator kube --state {state.path}")
        return FAILED
    registry = registry_of(state)
    try:
        reference = Reference.parse(f"{registry}/{OPERATOR_REPOSITORY}{options.name}")
        with RegistryClient(registry, pusher_login(state).read_text().strip()) as client:
            pushed = push_own(
                client,
                reference,
                files=scan(options.folder) if options.folder else [],
                env=_variables(options.env),
                command=shlex.split(options.words),
                host_paths=_absolute(options.visible),
            )
    except (ImageError, OSError, ValueError) as error:
        say(f"There is no image: {error}")
        return FAILED
    say(pushed)
    return HEALTHY


class InvalidVariable(ValueError):
    """What was given as NAME=VALUE is not that."""

    def __init__(self, text: str) -> None:
        super().__init__(f"--env {text!r} is not NAME=VALUE.")


def _variables(texts: Iterable[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidVariable(text)
        found[name] = value
    return found


def _absolute(folders: Iterable[Path]) -> list[str]:
    return [str(folder.resolve(strict=True)) for folder in folders]
