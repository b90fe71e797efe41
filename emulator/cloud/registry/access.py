"""Who may use the registry: Basic authentication against a fixed list of users. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from emulator.cloud.registry.errors import RegistryError

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="registry", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class User:
    """A user may pull. *push* are patterns of the repositories that it may write to as well (`binder-*`)."""

    password: str = field(repr=False)
    push: tuple[str, ...] = ()


class Access:
    """Decides about requests by their Authorization header."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = dict(users)

    def user(self, authorization: str) -> str:
        """The name of the user whom the header proves. Raises RegistryError for anybody else."""
        name, password = _basic(authorization)
        user = self._users.get(name)
        # Compared also for unknown users, so that time does not tell who exists.
        known = hmac.compare_digest(password.encode(), (user.password if user else "").encode())
        if user is None or not known:
            raise RegistryError("UNAUTHORIZED", "authentication required", headers=_CHALLENGE)
        return name

    def check_push(self, user: str, repository: str) -> None:
        """Raise RegistryError unless *user* may write to this repository."""
        if not any(fnmatchcase(repository, pattern) for pattern in self._users[user].push):
            raise RegistryError("DENIED", f"{user} may not push to {repository}")


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password
