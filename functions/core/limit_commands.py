"""What the operator says to change the limits: the commands of docs/limits.md. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from functions.core import limit_rules as rules
from functions.core.errors import BadRequest
from functions.core.limit_rules import MOST_QUOTA, PERIODS_S
from functions.core.limits import Limits


def changed(limits: Limits, words: Sequence[str]) -> Limits:
    """The limits after one command of the operator's, as docs/limits.md lists them. Raises BadRequest."""
    verb, *rest = words or [""]
    command = _COMMANDS.get((verb, len(rest))) or _COMMANDS.get((verb, MANY))
    if command is None:
        raise BadRequest(f"There is no such command: {' '.join(words)[:200]}")
    after = command(limits, *rest)
    rules.check_size(after, before=limits)
    return after


def _with(patterns: Sequence[str], pattern: str) -> Sequence[str]:
    return [*(it for it in patterns if it != pattern), pattern]


def _without(patterns: Sequence[str], pattern: str) -> Sequence[str]:
    if pattern not in patterns:
        raise BadRequest(f"{pattern[:200]} is not on the list.")
    return [it for it in patterns if it != pattern]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= MOST_QUOTA):
        raise BadRequest(f"A quota is a whole number up to {MOST_QUOTA}, or off.")
    return int(text)


def _number_or_off(text: str) -> int:
    return 0 if text == "off" else _number(text)


def _close(limits: Limits, *message: str) -> Limits:
    told = rules.message(" ".join(message))
    return replace(limits, closed=told or "This hub is being maintained. Please come back later.")


def _quota(limits: Limits, number: str) -> Limits:
    return replace(limits, total_quota=None if number == "off" else _number(number))


def _repo_quota(limits: Limits, pattern: str, number: str) -> Limits:
    rest = {name: quota for name, quota in limits.repo_quotas.items() if name != pattern}
    own = {} if number == "default" else {rules.pattern(pattern): _number_or_off(number)}
    return replace(limits, repo_quotas=rest | own)


def _rate(limits: Limits, number: str, per: str, period: str) -> Limits:
    if per != "per" or period not in PERIODS_S or not _number(number):
        raise BadRequest(f"A rate is a number from 1 per {', '.join(PERIODS_S)}, such as rate 10 per hour, or off.")
    return replace(limits, rate=_number(number), rate_period_s=PERIODS_S[period])


def _rate_off(limits: Limits, off: str) -> Limits:
    if off != "off":
        raise BadRequest("A rate is a number and a period, such as rate 10 per hour, or off.")
    return replace(limits, rate=0)


def _ban_network(limits: Limits, network: str = "", *label: str) -> Limits:
    known = rules.network(network)
    return replace(limits, networks={**limits.networks, known: rules.label(" ".join(label)) or known})


def _unban_network(limits: Limits, network: str) -> Limits:
    if network not in limits.networks:
        raise BadRequest(f"{network[:200]} is not on the list.")
    return replace(limits, networks={name: label for name, label in limits.networks.items() if name != network})


MANY = -1
# Verb and number of words after it.
_COMMANDS: Mapping[tuple[str, int], Callable[..., Limits]] = {
    ("close", MANY): _close,
    ("open", 0): lambda it: replace(it, closed=""),
    ("ban", 1): lambda it, pattern: replace(it, banned=_with(it.banned, rules.pattern(pattern))),
    ("unban", 1): lambda it, pattern: replace(it, banned=_without(it.banned, pattern)),
    ("allow", 1): lambda it, pattern: replace(it, allowed=_with(it.allowed, rules.pattern(pattern))),
    ("disallow", 1): lambda it, pattern: replace(it, allowed=_without(it.allowed, pattern)),
    ("quota", 1): _quota,
    ("repo-quota", 1): lambda it, number: replace(it, repo_quota=_number_or_off(number)),
    ("repo-quota", 2): _repo_quota,
    ("rate", 1): _rate_off,
    ("rate", 3): _rate,
    ("ban-network", 1): _ban_network,
    ("ban-network", MANY): _ban_network,
    ("unban-network", 1): _unban_network,
}
