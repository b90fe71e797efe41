"""Who is next when there are fewer places than people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.launch import Launch, Phase
from functions.core.limits import Limits
from functions.core.places import GO, Places, in_order, person, places
from functions.core.ports import ResolvedRepo

NOW = 1_000_000.0
GONE_S = 60


def launch(
    name: str, repo: str = "plots", who: str = "192.0.2.1", *, came: float = NOW - 30, phase: Phase = Phase.WAITING
) -> Launch:
    url = f"https://example.org/{repo}"
    resolved = ResolvedRepo(
        provider="gh",
        spec=f"owner/{repo}/main",
        repo_url=url,
        sha="a" * 40,
        slug=repo,
        resolved_spec=f"owner/{repo}/{'a' * 40}",
        ref_url=url,
    )
    waiting = Launch(
        id=name,
        provider="gh",
        spec=resolved.spec,
        repo=resolved,
        image=f"registry.example.org/{repo}:a",
        created_at=came,
        last_seen_at=NOW,
        token="t",
        host="https://hub.example.org/",
        client_ip=who,
        digest="sha256:d",
        queued_at=came,
    )
    if phase is Phase.WAITING:
        return waiting
    return replace(waiting, phase=phase, user=name, named_at=came, asked_at=came)


def seen(waiting: Sequence[Launch], running: Sequence[Launch] = (), **limits: object) -> Places:
    return places(waiting, running, Limits(**limits), now=NOW, watcher_gone_s=GONE_S)  # type: ignore[arg-type]


def names(launches: Sequence[Launch]) -> list[str]:
    return [it.id for it in launches]


def test_who_came_first_goes_first() -> None:
    waiting = [launch(f"p{n}", who=f"192.0.2.{n}", came=NOW - n) for n in (3, 9, 5)]
    assert names(in_order(waiting, [])) == ["p9", "p5", "p3"]


def test_a_workshop_does_not_hold_up_another_repository() -> None:
    workshop = [launch(f"w{n}", "workshop", f"192.0.2.{n}", came=NOW - 50 + n) for n in range(40)]
    other = launch("other", "thesis", "198.51.100.1", came=NOW - 1)
    assert names(in_order([*workshop, other], []))[:3] == ["w0", "other", "w1"]


def test_a_repository_that_has_many_servers_lets_others_go_first() -> None:
    running = [launch(f"r{n}", "workshop", f"192.0.2.{n}", phase=Phase.READY) for n in range(40)]
    waiting = [launch("late", "workshop", "198.51.100.9"), launch("other", "thesis", came=NOW - 1, who="203.0.113.1")]
    assert names(in_order(waiting, running)) == ["other", "late"]


def test_one_person_with_many_repositories_does_not_hold_up_others() -> None:
    greedy = [launch(f"g{n}", f"repo{n}", "192.0.2.1", came=NOW - 50 + n) for n in range(40)]
    other = launch("other", "thesis", "198.51.100.1", came=NOW - 1)
    assert names(in_order([*greedy, other], []))[:2] == ["g0", "other"]


def test_one_person_with_many_launches_of_a_repository_does_not_hold_up_others_of_it() -> None:
    greedy = [launch(f"g{n}", who="192.0.2.1", came=NOW - 50 + n) for n in range(40)]
    other = launch("other", who="198.51.100.1", came=NOW - 1)
    assert names(in_order([*greedy, other], []))[:2] == ["g0", "other"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "", False),
        ("no address", "no address", False),
    ],
)
def test_who_is_the_same_person(one: str, other: str, same: bool) -> None:
    assert (person(launch("a", who=one)) == person(launch("b", who=other))) is same
    assert person(replace(launch("a", who=one), principal="mo")) == person(replace(launch("b"), principal="mo"))


def test_as_many_go_as_there_are_places() -> None:
    waiting = [launch(f"p{n}", who=f"192.0.2.{n}", came=NOW - 20 + n) for n in range(4)]
    running = [launch("r", who="198.51.100.1", phase=Phase.READY)]
    turns = seen(waiting, running, total_quota=3).turns
    assert [(turns[f"p{n}"].now, turns[f"p{n}"].ahead) for n in range(4)] == [
        (True, 0),
        (True, 0),
        (False, 0),
        (False, 1),
    ]


def test_a_full_repository_holds_up_its_own_people_only() -> None:
    waiting = [
        launch("a1", "full", "192.0.2.1", came=NOW - 9),
        launch("a2", "full", "192.0.2.2", came=NOW - 8),
        launch("b1", "free", "192.0.2.3", came=NOW - 7),
    ]
    running = [launch("r", "full", "198.51.100.1", phase=Phase.READY)]
    turns = seen(waiting, running, total_quota=9, repo_quotas={"gh/owner/full/*": 1}).turns
    assert turns["b1"] is GO
    assert [(turns[name].now, turns[name].ahead) for name in ("a1", "a2")] == [(False, 0), (False, 1)]


def test_who_has_left_is_not_waited_for() -> None:
    gone = replace(launch("gone", came=NOW - 99), last_seen_at=NOW - GONE_S - 1)
    turns = seen([gone, launch("here", who="192.0.2.9")], total_quota=1).turns
    assert turns == {"here": GO}


def test_a_start_that_nobody_waits_for_takes_no_place() -> None:
    named = replace(launch("gone", phase=Phase.LAUNCHING), asked_at=0.0, last_seen_at=NOW - GONE_S - 1)
    found = seen([named, replace(launch("asked", phase=Phase.LAUNCHING), last_seen_at=0.0)], total_quota=5)
    assert (found.taken.total, found.starting) == (1, 1)


def test_an_image_alone_takes_no_place() -> None:
    assert seen([replace(launch("image"), build_only=True)], total_quota=1).waiting.total == 0


def test_an_estimate_is_told_from_how_fast_places_became_free() -> None:
    waiting = [launch(f"p{n}", who=f"192.0.2.{n}", came=NOW - 60 + n) for n in range(3)]
    served = [went(f"s{n}", waited_s=30) for n in range(6)]
    turns = seen(waiting, served, total_quota=6).turns
    # Six in a minute.
    assert [turns[f"p{n}"].estimate_s for n in range(3)] == [10.0, 20.0, 30.0]


def went(name: str, *, waited_s: float) -> Launch:
    """A launch that has had its turn a moment ago."""
    found = launch(name, "old", who=f"address of {name}", came=NOW - 10 - waited_s, phase=Phase.READY)
    return replace(found, named_at=NOW - 10, asked_at=NOW - 10)


def test_those_who_filled_the_places_at_once_tell_nothing_of_how_fast_places_become_free() -> None:
    """A workshop: everybody comes in one moment, a few get the places that are free, and keep them for an hour."""
    waiting = [launch(f"p{n}", who=f"192.0.2.{n}", came=NOW - 12) for n in range(3)]
    found = seen(waiting, [went(f"s{n}", waited_s=3) for n in range(6)], total_quota=6)
    assert {turn.estimate_s for turn in found.turns.values()} == {None}
    starts = [replace(it, phase=Phase.LAUNCHING, user=it.id, named_at=it.created_at) for it in waiting]
    found = seen(starts, [went(f"s{n}", waited_s=3) for n in range(6)])
    assert {turn.estimate_s for turn in found.starts.values()} == {None}


def test_nothing_is_estimated_before_a_place_became_free() -> None:
    before = launch("r", "old", came=NOW - 999, phase=Phase.READY)
    assert seen([launch("p", who="198.51.100.1")], [before], total_quota=1).turns["p"].estimate_s is None


launched = st.builds(
    launch,
    name=st.uuids().map(lambda it: it.hex),
    repo=st.sampled_from(["a", "b", "c"]),
    who=st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]),
    came=st.integers(0, 50).map(lambda s: NOW - s),
)
held = launched.map(lambda it: replace(it, phase=Phase.READY, user=it.id, named_at=it.created_at, asked_at=NOW))


@given(st.lists(launched, max_size=30), st.lists(held, max_size=10), st.integers(0, 20), st.integers(0, 5))
def test_no_quota_is_ever_passed_and_no_place_left_free(
    waiting: list[Launch], running: list[Launch], total: int, of_repo: int
) -> None:
    turns = seen(waiting, running, total_quota=total, repo_quota=of_repo).turns
    going = [it for it in waiting if turns[it.id].now]
    by_repo = Counter(it.repo.repo_url for it in [*running, *going])
    had = Counter(it.repo.repo_url for it in running)
    assert len(running) + len(going) <= max(total, len(running))
    assert all(not of_repo or by_repo[url] <= max(of_repo, had[url]) for url in by_repo)
    if len(running) + len(going) < total:
        left = [it for it in waiting if not turns[it.id].now]
        assert all(of_repo and by_repo[it.repo.repo_url] >= of_repo for it in left)


@given(st.lists(launched, max_size=30), st.lists(held, max_size=10))
def test_who_is_next_has_not_more_than_any_other_who_is_first_of_theirs(
    waiting: list[Launch], running: list[Launch]
) -> None:
    of_repo = Counter(it.repo.repo_url for it in running)
    of_person = Counter(map(person, running))

    def has(it: Launch) -> tuple[int, float]:
        return max(of_repo[it.repo.repo_url], of_person[person(it)]), it.created_at

    def is_first(it: Launch) -> bool:
        theirs = [o for o in waiting if o.repo.repo_url == it.repo.repo_url or person(o) == person(it)]
        return min(theirs, key=lambda o: (o.created_at, o.id)) is it

    assert all(has(it) <= has(other) for it in in_order(waiting, running)[:1] for other in filter(is_first, waiting))


@given(st.lists(launched, max_size=30), st.randoms(use_true_random=False))
def test_every_instance_finds_the_same_order(waiting: list[Launch], chance: object) -> None:
    shuffled = [*waiting]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert names(in_order(waiting, [])) == names(in_order(shuffled, []))
