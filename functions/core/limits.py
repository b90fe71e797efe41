"""What the operator permits at this moment: bans, quotas, closed networks, and whether new launches are taken at all.

One value for all instances, kept in the store, changed by `python -m functions admin`. Patterns are shell patterns over
`<provider>/<spec>`, in any case of letters, in which `*` stands for slashes too. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from functions.core.errors import BadRequest, NotAllowed, QuotaExceeded

MOST_PATTERN = 300
MOST_QUOTA = 1_000_000
_MAPPED_BITS = 96
_FULL = "Too many users on this BinderHub! Try again soon."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`closed` is the message for whoever wants a new launch while none are taken; empty: they are.

    `total_quota` is how many servers there may be, None: any number, 0: none. `repo_quota` is the same for each
    repository, 0: any number; `repo_quotas` says otherwise for some patterns, of which the last that matches decides.
    With `allowed` patterns only these may be launched; `banned` ones never. `networks` are closed to us: address range
    and what it is called.
    """

    closed: str = ""
    banned: Sequence[str] = ()
    allowed: Sequence[str] = ()
    total_quota: int | None = None
    repo_quota: int = 0
    repo_quotas: Mapping[str, int] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether how many servers there are matters."""
        return self.total_quota is not None or bool(self.repo_quota or self.repo_quotas)

    def quota_of(self, spec: str) -> int:
        """How many servers of `<provider>/<spec>` there may be; 0: any number."""
        found = self.repo_quota
        for pattern, quota in self.repo_quotas.items():
            if _fits(unquote(spec), pattern):
                found = quota
        return found


@dataclass(frozen=True, slots=True)
class InUse:
    """How many servers run or are about to, all and by repository."""

    total: int = 0
    by_repo: Mapping[str, int] = field(default_factory=dict)


def check_sender(limits: Limits, client_ip: str) -> None:
    """Raise NotAllowed for a sender in a closed network. What is no address is in none."""
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return
    address = getattr(address, "ipv4_mapped", None) or address
    for network, label in limits.networks.items():
        if address in ipaddress.ip_network(network):
            raise NotAllowed(f"Requests from {label} are not allowed")


def check_spec(limits: Limits, spec: str, *, resolved: str = "") -> None:
    """Raise NotAllowed for a `<provider>/<spec>` that may not be launched; BinderHub's words.

    *spec* is percent-encoded as in links, where one repository can be written in many ways: what it decodes to counts
    as well, and once it is *resolved* how its provider spells it.
    """
    decoded = unquote(spec)
    banned = any(_fits(form, pattern) for pattern in limits.banned for form in (spec, decoded, unquote(resolved)))
    if banned or (limits.allowed and not any(_fits(decoded, pattern) for pattern in limits.allowed)):
        raise NotAllowed(
            f"Sorry, {spec.partition('/')[2][:300]} is not allowed to launch. Please contact admins for more info!"
        )


def check_room(limits: Limits, spec: str, repo_url: str, in_use: InUse, *, queue_length: int = 0) -> None:
    """Raise QuotaExceeded when one more launch of `<provider>/<spec>` has neither a place nor one in the queue, which
    takes *queue_length* of a repository and of all; BinderHub's words."""
    refusal = refusal_of_all(limits)
    if refusal:
        raise QuotaExceeded(refusal)
    if limits.total_quota is not None and in_use.total >= limits.total_quota + queue_length:
        raise QuotaExceeded(_FULL)
    quota = limits.quota_of(spec)
    if quota and in_use.by_repo.get(repo_url, 0) >= quota + queue_length:
        raise QuotaExceeded(f"Too many users running {repo_url}! Try again soon.")


def refusal_of_all(limits: Limits) -> str:
    """Why nobody gets a server, however long they wait; empty while somebody may."""
    return limits.closed or (_FULL if limits.total_quota == 0 else "")


def changed(limits: Limits, words: Sequence[str]) -> Limits:
    """The limits after one command of the operator's, as docs/limits.md lists them. Raises BadRequest."""
    verb, *rest = words or [""]
    command = _COMMANDS.get((verb, len(rest))) or _COMMANDS.get((verb, MANY))
    if command is None:
        raise BadRequest(f"There is no such command: {' '.join(words)[:200]}")
    return command(limits, *rest)


def read(data: Mapping[str, Any]) -> Limits:
    """The limits that the store holds; fields of a newer revision are left out."""
    names = Limits.__dataclass_fields__
    return Limits(**{name: value for name, value in data.items() if name in names})


def _fits(spec: str, pattern: str) -> bool:
    return fnmatchcase(spec.lower(), pattern.lower())


def _with(patterns: Sequence[str], pattern: str) -> Sequence[str]:
    return [*(it for it in patterns if it != pattern), pattern]


def _without(patterns: Sequence[str], pattern: str) -> Sequence[str]:
    if pattern not in patterns:
        raise BadRequest(f"{pattern[:200]} is not on the list.")
    return [it for it in patterns if it != pattern]


def _pattern(text: str) -> str:
    provider, slash, rest = text.partition("/")
    if not (provider and slash and rest) or len(text) > MOST_PATTERN or not text.isprintable():
        raise BadRequest("A pattern is <provider>/<spec> with *, such as gh/owner/*.")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= MOST_QUOTA):
        raise BadRequest(f"A quota is a whole number up to {MOST_QUOTA}, or off.")
    return int(text)


def _number_or_off(text: str) -> int:
    return 0 if text == "off" else _number(text)


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= _MAPPED_BITS:
            # Senders are known by their IPv4 address, however they are written.
            network = ipaddress.ip_network(f"{mapped}/{network.prefixlen - _MAPPED_BITS}")
        return str(network)
    except ValueError as error:
        raise BadRequest(f"{text[:100]} is no range of addresses such as 192.0.2.0/24: {error}.") from error


def _close(limits: Limits, *message: str) -> Limits:
    return replace(limits, closed=" ".join(message) or "This hub is being maintained. Please come back later.")


def _quota(limits: Limits, number: str) -> Limits:
    return replace(limits, total_quota=None if number == "off" else _number(number))


def _repo_quota(limits: Limits, pattern: str, number: str) -> Limits:
    rest = {name: quota for name, quota in limits.repo_quotas.items() if name != pattern}
    own = {} if number == "default" else {_pattern(pattern): _number_or_off(number)}
    return replace(limits, repo_quotas=rest | own)


def _ban_network(limits: Limits, network: str = "", *label: str) -> Limits:
    known = _network(network)
    return replace(limits, networks={**limits.networks, known: " ".join(label) or known})


def _unban_network(limits: Limits, network: str) -> Limits:
    if network not in limits.networks:
        raise BadRequest(f"{network[:200]} is not on the list.")
    return replace(limits, networks={name: label for name, label in limits.networks.items() if name != network})


MANY = -1
# Verb and number of words after it.
_COMMANDS: Mapping[tuple[str, int], Callable[..., Limits]] = {
    ("close", MANY): _close,
    ("open", 0): lambda it: replace(it, closed=""),
    ("ban", 1): lambda it, pattern: replace(it, banned=_with(it.banned, _pattern(pattern))),
    ("unban", 1): lambda it, pattern: replace(it, banned=_without(it.banned, pattern)),
    ("allow", 1): lambda it, pattern: replace(it, allowed=_with(it.allowed, _pattern(pattern))),
    ("disallow", 1): lambda it, pattern: replace(it, allowed=_without(it.allowed, pattern)),
    ("quota", 1): _quota,
    ("repo-quota", 1): lambda it, number: replace(it, repo_quota=_number_or_off(number)),
    ("repo-quota", 2): _repo_quota,
    ("ban-network", 1): _ban_network,
    ("ban-network", MANY): _ban_network,
    ("unban-network", 1): _unban_network,
}
