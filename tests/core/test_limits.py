"""What the operator permits: patterns, quotas and networks, and the commands that change them."""

from __future__ import annotations

import dataclasses
from time import process_time

import pytest

from functions.core.errors import BadRequest, NotAllowed, QuotaExceeded
from functions.core.limit_commands import changed
from functions.core.limits import InUse, Limits, check_room, check_sender, check_spec, read
from functions.core.rates import Rate

REPO = "https://github.com/owner/plots"


def after(*commands: str) -> Limits:
    limits = Limits()
    for command in commands:
        limits = changed(limits, command.split())
    return limits


@pytest.mark.parametrize(
    ("commands", "spec", "permitted"),
    [
        ([], "gh/owner/plots/main", True),
        (["ban gh/owner/*"], "gh/owner/plots/main", False),
        (["ban gh/Owner/*"], "gh/OWNER/plots/main", False),
        (["ban gh/owner/*"], "gh/owners/plots/main", True),
        (["ban gh/owner/*"], "gl/owner/plots/main", True),
        (["ban gh/owner/*", "unban gh/owner/*"], "gh/owner/plots/main", True),
        (["ban gh/owner/plots/*"], "gh/o%77ner/plots/main", False),
        (["allow gh/owner/*", "ban gh/owner/plots/*"], "gh/owner/pl%6fts/main", False),
        (["ban git/https://git.example.org/*"], "git/https%3A%2F%2Fgit.example.org%2Fo%2Fr/HEAD", False),
        (["allow gh/owner/*"], "gh/other/plots/main", False),
        (["allow gh/owner/*"], "gh/owner/plots/main", True),
        (["allow gh/owner/*", "ban gh/owner/plots/*"], "gh/owner/plots/main", False),
        (["allow gh/owner/*", "disallow gh/owner/*"], "gh/other/plots/main", True),
    ],
)
def test_which_specs_may_be_launched(commands: list[str], spec: str, permitted: bool) -> None:
    limits = after(*commands)
    if permitted:
        check_spec(limits, spec)
        return
    with pytest.raises(NotAllowed, match="Sorry, .* is not allowed to launch. Please contact admins for more info!"):
        check_spec(limits, spec)


@pytest.mark.parametrize(
    ("commands", "total", "of_repo", "said"),
    [
        ([], 10_000, 10_000, ""),
        (["quota 3"], 2, 0, ""),
        (["quota 3"], 3, 0, "Too many users on this BinderHub! Try again soon."),
        (["quota 0"], 0, 0, "Too many users on this BinderHub! Try again soon."),
        (["quota 3", "quota off"], 10, 0, ""),
        (["repo-quota 2"], 9, 1, ""),
        (["repo-quota 2"], 9, 2, f"Too many users running {REPO}! Try again soon."),
        (["repo-quota 2", "repo-quota gh/owner/* 5"], 9, 4, ""),
        (["repo-quota 2", "repo-quota gh/owner/* off"], 900, 400, ""),
        (["repo-quota gh/owner/* 9", "repo-quota gh/owner/plots/* 1"], 9, 1, f"Too many users running {REPO}!"),
        (["repo-quota 2", "repo-quota gh/owner/* 5", "repo-quota gh/owner/* default"], 9, 2, "Too many users running"),
        (["close We move house until noon."], 0, 0, "We move house until noon."),
        (["close", "open"], 0, 0, ""),
    ],
)
def test_whether_there_is_room(commands: list[str], total: int, of_repo: int, said: str) -> None:
    limits, in_use = after(*commands), InUse(total, {REPO: of_repo})
    if not said:
        check_room(limits, "gh/owner/plots/main", REPO, in_use)
        return
    with pytest.raises(QuotaExceeded) as refused:
        check_room(limits, "gh/owner/plots/main", REPO, in_use)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("192.0.2.7", False),
        ("::ffff:192.0.2.7", False),
        ("192.0.2.7:51234", False),
        ("192.0.3.7", True),
        ("2001:db8::1", False),
        ("2001:db9::1", True),
        ("", True),
        ("not an address", True),
    ],
)
def test_who_may_ask(address: str, permitted: bool) -> None:
    limits = after("ban-network 192.0.2.0/24 the data centre", "ban-network 2001:db8::/32")
    if permitted:
        check_sender(limits, address)
        return
    with pytest.raises(NotAllowed, match="Requests from (the data centre|2001:db8::/32) are not allowed"):
        check_sender(limits, address)


def test_a_range_of_mapped_addresses_is_one_of_ipv4() -> None:
    with pytest.raises(NotAllowed):
        check_sender(after("ban-network ::ffff:192.0.2.0/120 x"), "192.0.2.7")


def test_a_ban_holds_for_how_the_provider_spells_the_repository() -> None:
    limits = after("ban gh/owner/plots/*")
    check_spec(limits, "gh/owner/plots.git/main")
    with pytest.raises(NotAllowed):
        check_spec(limits, "gh/owner/plots.git/main", resolved="gh/owner/plots/c0ffee")


def test_a_quota_holds_for_how_the_provider_spells_the_repository() -> None:
    limits = after("repo-quota gh/owner/plots/* 1", "quota off")
    assert limits.quota_of("gh/owner/plots.git/main") == 0
    assert limits.quota_of("gh/owner/plots.git/main", resolved="gh/owner/plots/c0ffee") == 1


def test_a_network_can_be_let_in_again() -> None:
    check_sender(after("ban-network 192.0.2.0/24 x", "unban-network 192.0.2.0/24"), "192.0.2.7")


@pytest.mark.parametrize(
    "command",
    [
        *("", "stop", "ban", "ban gh", "ban /x", "ban gh/", "unban gh/owner/*", "disallow gh/owner/*", "open now"),
        *("quota", "quota -1", "quota 1e3", "quota ten", "quota 99999999", "repo-quota gh/x/* x", "repo-quota x 1"),
        *("ban-network", "ban-network 192.0.2.7/24 x", "ban-network example.org x", "unban-network 192.0.2.0/24"),
        *(
            "rate",
            "rate 10",
            "rate on",
            "rate 10 per fortnight",
            "rate 0 per hour",
            "rate x per hour",
            "rate 10 an hour",
        ),
        *("ban gh/" + "x" * 300, "close " + "x" * 2001, "close \x1b[2J", "ban-network 192.0.2.0/24 " + "x" * 201),
    ],
)
def test_a_command_that_makes_no_sense_changes_nothing(command: str) -> None:
    with pytest.raises(BadRequest):
        after(command)


def test_a_rate_has_a_period() -> None:
    assert after().sender_rate.limit == 0
    assert after("rate 60 per minute").sender_rate == Rate(60, 60)
    assert after("rate 60 per minute", "rate 10 per hour").sender_rate == Rate(10, 3600)
    assert after("rate 10 per hour", "rate off").sender_rate.limit == 0


def test_a_pattern_made_to_be_slow_is_not() -> None:
    limits = after("ban gh/" + "*a" * 100)
    check_spec(limits, "gh/" + "a" * 2000 + "b")


def test_limits_are_read_as_they_were_written() -> None:
    limits = after("ban gh/a/*", "quota 5", "repo-quota gh/b/* 7", "ban-network 192.0.2.0/24 x", "close later")
    assert read({**dataclasses.asdict(limits), "of a newer revision": 1}) == limits


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 140, "*aab" * 74, "*" + "a" * 290 + "b", "*" + "[a-z]" * 58 + "b", "*" + "?" * 290 + "b", "*" * 290 + "b"],
)
@pytest.mark.parametrize("spec", ["a" * 2000, "ab" * 1000], ids=["one letter", "two letters"])
def test_no_pattern_takes_long_whatever_a_stranger_writes(pattern: str, spec: str) -> None:
    """docs/decisions/0012-shell-patterns.md: with regular expressions there are some that take for ever."""
    limits = after(f"ban gh/{pattern}x")
    begun = process_time()
    for _ in range(10):
        check_spec(limits, f"gh/{spec}")
    assert process_time() - begun < 0.5


def test_limits_do_not_grow_beyond_what_a_store_takes_but_can_always_be_made_fewer() -> None:
    full = dataclasses.replace(after(), banned=[f"gh/owner/{number}" for number in range(1001)])
    with pytest.raises(BadRequest, match="banned: there may be at most 1000"):
        changed(full, ["ban", "gh/one/more"])
    assert len(changed(full, ["unban", "gh/owner/7"]).banned) == 1000
    assert changed(full, ["close"]).closed
    long = dataclasses.replace(after(), allowed=[f"gh/{number:03}{'x' * 290}" for number in range(1000)])
    with pytest.raises(BadRequest, match="All limits together"):
        changed(long, ["ban", "gh/one/more"])
    assert changed(long, ["disallow", long.allowed[0]])
