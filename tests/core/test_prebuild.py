"""The record of a branch that is built when it is pushed."""

from __future__ import annotations

import dataclasses

from functions.core.prebuild import Prebuild, Spent, branch_key, dropped, pushed, seen_to, spend, take_turn
from functions.core.webhooks import Push

PUSH = Push(provider="gh", repository="owner/plots", ref="main", spec="owner/plots/main")
FIRST = Prebuild(push=PUSH, pushed_at=1000.0, newest="a")


def test_the_first_build_of_a_branch_begins_at_once() -> None:
    assert take_turn(FIRST, now=1000.0, debounce_s=60) == dataclasses.replace(FIRST, begun_at=1000.0)


def test_the_next_one_begins_when_the_pause_is_over_and_not_before() -> None:
    begun = dataclasses.replace(FIRST, begun_at=1000.0)
    assert take_turn(begun, now=1059.9, debounce_s=60) is None
    assert take_turn(begun, now=1060.0, debounce_s=60) is not None
    assert take_turn(begun, now=1000.0, debounce_s=0) is not None


def test_a_branch_that_is_seen_to_is_no_longer_due() -> None:
    after = seen_to(FIRST, "a")
    assert (after.image, after.due) == ("a", False)


def test_a_push_that_came_meanwhile_stays_due() -> None:
    newer = pushed(FIRST, PUSH, "b", now=1001.0)
    assert (seen_to(newer, "a").image, seen_to(newer, "a").due) == ("a", True)
    assert dropped(newer, "a").due


def test_a_push_whose_commit_is_not_known_yet_stays_due() -> None:
    assert seen_to(pushed(FIRST, PUSH, "", now=1001.0), "a").due


def test_what_is_dropped_was_not_built() -> None:
    after = dropped(FIRST, "a")
    assert (after.image, after.due) == ("", False)


def test_branches_have_records_of_their_own_however_long_their_names() -> None:
    others = [dataclasses.replace(PUSH, provider="gl"), dataclasses.replace(PUSH, spec="owner/plots/" + "x" * 2000)]
    keys = {branch_key(push) for push in [PUSH, *others]}
    assert len(keys) == 3 and all(len(key) <= 1024 for key in keys)


def test_a_budget_ends() -> None:
    spent: Spent | None = Spent(repository="gh/owner/plots", day="2026-01-01")
    for _ in range(2):
        spent = spend(spent, most=2) if spent else None
    assert spent is not None and spent.builds == 2
    assert spend(spent, most=2) is None


def test_days_and_repositories_have_budgets_of_their_own() -> None:
    known = [("gh/a/b", "2026-01-01"), ("gh/a/b", "2026-01-02"), ("gh/a/" + "c" * 6000, "2026-01-01")]
    keys = {Spent(repository=repository, day=day).key for repository, day in known}
    assert len(keys) == 3 and all(len(key) <= 1024 for key in keys)
