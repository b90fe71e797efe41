"""Requests in the name of somebody else (`kubectl --as`).

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
"""

from __future__ import annotations

from collections.abc import Iterator

from multidict import MultiMapping

from emulator.kube.errors import bad_request
from emulator.kube.rbac import Attributes, require
from emulator.kube.store import Store
from emulator.kube.users import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User

HEADERS = "impersonate-"
USER, GROUP, UID, EXTRA = "Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "impersonate-extra-"
IDENTITIES = "authentication.k8s.io"
ACCOUNT = "system:serviceaccount:"


def impersonated(user: User, headers: MultiMapping[str], store: Store) -> User:
    """Return whom a request speaks for when *user* sends it: mostly the user. Raises the 403 for who may not say so."""
    wanted = [*_identities(headers)]
    if not wanted:
        return user
    name, groups = headers.get(USER, ""), tuple(headers.getall(GROUP, []))
    if not name:
        raise bad_request("groups, a uid or extras are impersonated without a user: Impersonate-User is missing")
    for each in wanted:
        require(store, user, each)
    if account := _account(name):
        groups = groups or ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}")
    kept = UNAUTHENTICATED if name == ANONYMOUS.name else AUTHENTICATED
    groups += () if {AUTHENTICATED, UNAUTHENTICATED} & {*groups} else (kept,)
    return User(name, headers.get(UID, ""), groups)


def _identities(headers: MultiMapping[str]) -> Iterator[Attributes]:
    """What the user has to have the right to `impersonate`."""
    for header, value in headers.items():
        header = header.lower()
        if header == USER.lower():
            account = _account(value)
            place = ("serviceaccounts", "", *account) if account else ("users", "", "", value)
            yield Attributes("impersonate", "", *place)
        elif header == GROUP.lower():
            yield Attributes("impersonate", "", "groups", name=value)
        elif header == UID.lower():
            yield Attributes("impersonate", IDENTITIES, "uids", name=value)
        elif header.startswith(EXTRA):
            yield Attributes("impersonate", IDENTITIES, "userextras", header.removeprefix(EXTRA), name=value)


def _account(name: str) -> tuple[str, str] | None:
    """Return namespace and name of a service account."""
    namespace, colon, account = name.removeprefix(ACCOUNT).partition(":")
    return (namespace, account) if name.startswith(ACCOUNT) and colon and namespace and account else None
