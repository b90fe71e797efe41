"""Who may use the registry: users with a password, and service accounts with an access token. Pure.

Service accounts come as to Artifact Registry: the user `oauth2accesstoken`, or Bearer.
https://cloud.google.com/artifact-registry/docs/docker/authentication#token
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from emulator.cloud.registry.errors import RegistryError

TOKEN_USER = "oauth2accesstoken"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="registry", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class User:
    """A user may pull. *push* are patterns of the repositories that it may write to as well (`binder-*`)."""

    password: str = field(repr=False)
    push: tuple[str, ...] = ()


class Access:
    """Decides about requests by their Authorization header."""

    def __init__(self, users: Mapping[str, User], account_of: Callable[[str], str] = lambda _token: "") -> None:
        """*account_of* tells whose an access token is, and is empty for a token that is none; an account that is not
        among the users may do nothing."""
        self._users = dict(users)
        self._account_of = account_of

    def user(self, authorization: str) -> str:
        """The name of the user whom the header proves. Raises RegistryError for anybody else."""
        name, password = _basic(authorization)
        if name == TOKEN_USER and (account := self._account_of(password)) in self._users:
            return account
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
    if scheme.lower() == "bearer":
        return TOKEN_USER, encoded
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password
