"""The secrets this process is given, in one JSON file. Pure but for reading it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.cloud.registry.access import User


class InvalidCredentials(ValueError):
    """The credentials file cannot be used; the text says why, without showing a secret."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may do what: the admin interface, Pub/Sub's gRPC port, the registry's users, and machines' service accounts.

    *machines* are service accounts by the secret in the path of their metadata servers; *registry* names those that may
    use the registry among its users, with a password that nobody needs.
    """

    admin_token: str = field(repr=False)
    pubsub_token: str = field(repr=False)
    registry: Mapping[str, User]
    machines: Mapping[str, str] = field(default_factory=dict, repr=False)


def read(path: Path) -> Credentials:
    """Read the credentials file. Raises InvalidCredentials."""
    try:
        return parse(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InvalidCredentials(f"{path}: {error}") from error


def read_users(path: Path) -> dict[str, User]:
    """Read a file of the registry's users only. Raises InvalidCredentials."""
    try:
        return parse_users(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InvalidCredentials(f"{path}: {error}") from error


def parse(document: Any) -> Credentials:
    """Read `{"admin_token", "pubsub_token", "registry": {user: {"password", "push"}}}`, and perhaps
    `"machines": {secret: service account}`."""
    if not isinstance(document, dict) or set(document) - {"machines"} != {"admin_token", "pubsub_token", "registry"}:
        raise InvalidCredentials("expected admin_token, pubsub_token and registry")
    machines = document.get("machines", {})
    if not isinstance(machines, dict) or not all(isinstance(email, str) for email in machines.values()):
        raise InvalidCredentials("machines: expected an object of service accounts")
    return Credentials(
        admin_token=_secret("admin_token", document["admin_token"]),
        pubsub_token=_secret("pubsub_token", document["pubsub_token"]),
        registry=parse_users(document["registry"]),
        machines={_secret("machines", secret): email for secret, email in machines.items()},
    )


def parse_users(document: Any) -> dict[str, User]:
    """Read `{user: {"password", "push"}}`."""
    if not isinstance(document, dict):
        raise InvalidCredentials("registry: expected an object of users")
    return {name: _user(name, entry) for name, entry in document.items()}


def _user(name: str, entry: Any) -> User:
    if not name or ":" in name or not isinstance(entry, dict) or not set(entry) <= {"password", "push"}:
        raise InvalidCredentials(f"registry.{name}: expected password and push")
    return User(_secret(f"registry.{name}.password", entry.get("password")), push=_patterns(name, entry.get("push")))


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    """`push`: true for every repository, or a list of patterns."""
    if value is None or isinstance(value, bool):
        return ("*",) if value else ()
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise InvalidCredentials(f"registry.{name}.push: expected true, false or a list of patterns")
    return tuple(value)


def _secret(name: str, value: Any) -> str:
    # An empty secret would let in whoever sends none.
    if not isinstance(value, str) or len(value) < 8 or not value.isascii():
        raise InvalidCredentials(f"{name}: expected ASCII text of at least 8 characters")
    return value
