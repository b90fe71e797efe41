"""What the operator permits at this moment: bans, quotas, closed networks, and whether new launches are taken at all.

One value for all instances, kept in the store, changed by `python -m functions admin`. Patterns are shell patterns over
`<provider>/<spec>`, in any case of letters, in which `*` stands for slashes too. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from functions.core.errors import NotAllowed, QuotaExceeded
from functions.core.rates import Rate
from functions.core.senders import address_of

_FULL = "Too many users on this BinderHub! Try again soon."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`closed` is the message for whoever wants a new launch while none are taken; empty: they are.

    `total_quota` is how many servers there may be, None: any number, 0: none. `repo_quota` is the same for each
    repository, 0: any number; `repo_quotas` says otherwise for some patterns, of which the last that matches decides.
    With `allowed` patterns only these may be launched; `banned` ones never. `networks` are closed to us: address range
    and what it is called. `rate` is how many launches and builds a sender without a build token may ask for in
    `rate_period_s` seconds, 0: any number.
    """

    closed: str = ""
    banned: Sequence[str] = ()
    allowed: Sequence[str] = ()
    total_quota: int | None = None
    repo_quota: int = 0
    repo_quotas: Mapping[str, int] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    rate: int = 0
    rate_period_s: int = 3600

    @property
    def sender_rate(self) -> Rate:
        """How often one sender may ask."""
        return Rate(self.rate, self.rate_period_s)

    @property
    def counts(self) -> bool:
        """Whether how many servers there are matters."""
        return self.total_quota is not None or bool(self.repo_quota or self.repo_quotas)

    def quota_of(self, spec: str, *, resolved: str = "") -> int:
        """How many servers of `<provider>/<spec>` there may be, which its provider spells *resolved*; 0: any number."""
        found = self.repo_quota
        for pattern, quota in self.repo_quotas.items():
            if any(_fits(unquote(form), pattern) for form in (spec, resolved)):
                found = quota
        return found


@dataclass(frozen=True, slots=True)
class InUse:
    """How many servers run or are about to, all and by repository, whose address is in small letters."""

    total: int = 0
    by_repo: Mapping[str, int] = field(default_factory=dict)


def check_sender(limits: Limits, client_ip: str) -> None:
    """Raise NotAllowed for a sender in a closed network. What is no address is in none."""
    address = address_of(client_ip)
    if address is None:
        return
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


def check_open(limits: Limits) -> None:
    """Raise QuotaExceeded, with what people are told, while nobody gets a server."""
    refusal = refusal_of_all(limits)
    if refusal:
        raise QuotaExceeded(refusal)


def check_room(
    limits: Limits, spec: str, repo_url: str, in_use: InUse, *, resolved: str = "", queue_length: int = 0
) -> None:
    """Raise QuotaExceeded when one more launch of `<provider>/<spec>`, which is also spelled *resolved*, has neither
    a place nor one in the queue, which takes *queue_length* of a repository and of all; BinderHub's words."""
    check_open(limits)
    if limits.total_quota is not None and in_use.total >= limits.total_quota + queue_length:
        raise QuotaExceeded(_FULL)
    quota = limits.quota_of(spec, resolved=resolved)
    if quota and in_use.by_repo.get(repo_url.lower(), 0) >= quota + queue_length:
        raise QuotaExceeded(f"Too many users running {repo_url}! Try again soon.")


def refusal_of_all(limits: Limits) -> str:
    """Why nobody gets a server, however long they wait; empty while somebody may."""
    return limits.closed or (_FULL if limits.total_quota == 0 else "")


def read(data: Mapping[str, Any]) -> Limits:
    """The limits that the store holds; fields of a newer revision are left out."""
    names = Limits.__dataclass_fields__
    return Limits(**{name: value for name, value in data.items() if name in names})


def _fits(spec: str, pattern: str) -> bool:
    return fnmatchcase(spec.lower(), pattern.lower())
