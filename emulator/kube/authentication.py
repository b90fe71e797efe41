"""Who asks, and may they: Kubernetes' static token file, and roles."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emulator.kube.errors import ApiError, unauthorized
from emulator.kube.rbac import Attributes, allowed, require
from emulator.kube.routes import Target
from emulator.kube.selectors import exact_name
from emulator.kube.store import Store
from emulator.kube.users import ANONYMOUS, AUTHENTICATED, MASTERS, User

KUBELET = "kubelet"


class TokenFileError(Exception):
    """The token file is not one."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The users by the digest of their token (a look-up by the token itself would take a telling time).

    `for_kubelets` is what this server shows to kubelets when it reads logs: the kubelets' own token, so that an address
    that a kubelet claims never sees another one; where the file names no user `kubelet`, the first master's.
    """

    users: dict[bytes, User]
    for_kubelets: str

    def user(self, authorization: str) -> User:
        """Return who an Authorization header speaks for; without one, nobody in particular."""
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        user = self.users.get(_digest(token.strip())) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def parse_tokens(lines: Iterable[str]) -> Tokens:
    """Read a static token file: `token,user,uid,"group1,group2"` a line."""
    users: dict[bytes, User] = {}
    masters: dict[str, str] = {}
    for number, row in enumerate(csv.reader(lines), start=1):
        if not row or row[0].startswith("#"):
            continue
        if len(row) < 3 or not row[0] or not row[1]:
            raise TokenFileError(f"line {number}: expected token,user,uid[,groups]")
        groups = tuple(group.strip() for group in row[3].split(",")) if len(row) > 3 else ()
        users[_digest(row[0])] = User(row[1], row[2], (*groups, AUTHENTICATED))
        if MASTERS in groups:
            masters.setdefault(row[1], row[0])
    if not masters:
        raise TokenFileError(f"no user is in {MASTERS}, so nobody could use this server")
    return Tokens(users, masters.get(KUBELET) or next(iter(masters.values())))


def read_tokens(path: Path) -> Tokens:
    """Read the token file at *path*."""
    with path.open(newline="") as lines:
        try:
            return parse_tokens(lines)
        except (TokenFileError, UnicodeDecodeError, csv.Error) as error:
            raise TokenFileError(f"{path}: {error}") from error


def authorize(user: User, store: Store, path: str, *, verb: str, target: Target | None, fields: str = "") -> None:
    """Raise the 403 for a user who may not do this. *fields* is the field selector: what it lists may be one object."""
    if target is None:
        if not allowed(store, user, Attributes(verb=verb, path=path))[0]:
            raise ApiError(403, "Forbidden", f'forbidden: User "{user.name}" cannot {verb} path "{path}"', {})
        return
    resource = target.resource
    name = exact_name(fields) if verb in ("list", "watch") else target.name
    require(store, user, Attributes(verb, resource.group, resource.plural, target.part, target.namespace, name))
