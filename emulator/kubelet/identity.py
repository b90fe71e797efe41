"""Who a container is: the user it sees itself as, and the account that it is on this machine.

The two differ when the kubelet is root. A container sees itself as jovyan, or as whom its securityContext names; on the
machine all of them are one account that owns nothing else and is nobody's. Being user 1000 there as well would open the
files of whoever has that number, often the first person of the machine. A kubelet of a normal user can only start
containers that are this user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.kubelet.environment import ConfigError

HOME = "/home/jovyan"
NAME = "jovyan"
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int


JOVYAN = User(1000, 1000)
# Given to nobody by Debian, systemd and the common directories, and below 65536: rootless containers have no more.
# https://systemd.io/UIDS-GIDS/
ACCOUNT = User(65530, 65530)


def container_account() -> User | None:
    """The account to start containers as; None for a kubelet that cannot be but itself."""
    return ACCOUNT if os.geteuid() == 0 else None


def user_of(pod: Mapping[str, Any], container: Mapping[str, Any]) -> User:
    """The user that *container* asks to be, by its own securityContext or its pod's. Raises ConfigError.

    Nothing here runs as root: 0 counts as not given.
    """
    asked = dict(_asked(pod, container))
    return User(asked.get("runAsUser") or JOVYAN.uid, asked.get("runAsGroup") or JOVYAN.gid)


def refused(pod: Mapping[str, Any], container: Mapping[str, Any]) -> tuple[str, ...]:
    """What *container* asks for and does not get, as sentences."""
    zeros = (key for key, number in _asked(pod, container) if number == 0)
    return tuple(f"{key} is 0, but no container runs as root here: it is {NAME}" for key in zeros)


def _asked(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    given = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    for key in ("runAsUser", "runAsGroup"):
        number = given.get(key)
        if number is None:
            continue
        # The kernel takes only 32 bits of a number, and the largest one for "leave it as it is".
        if type(number) is not int or not 0 <= number <= _LARGEST:
            raise ConfigError(f"{key} must be a number from 0 to {_LARGEST}")
        yield key, number


def passwd_file(machine: str, user: User, *, shell: str) -> str:
    """The accounts of the *machine*, with *user* as jovyan."""
    return _with(machine, f"{NAME}:x:{user.uid}:{user.gid}::{HOME}:{shell}", str(user.uid))


def group_file(machine: str, user: User) -> str:
    """The groups of the *machine*, with that of *user* as jovyan."""
    return _with(machine, f"{NAME}:x:{user.gid}:", str(user.gid))


def _with(machine: str, line: str, number: str) -> str:
    kept = (each for each in machine.splitlines() if each.count(":") >= 3)
    others = (each for each in kept if each.split(":")[0] != NAME and each.split(":")[2] != number)
    return "\n".join((*others, line)) + "\n"
